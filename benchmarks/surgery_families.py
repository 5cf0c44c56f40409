"""What surgery makes of every family of torchvision and timm, as a markdown table.

    python benchmarks/surgery_families.py [NAME ...] > table.md

For each network, with random weights and BatchNorm statistics of noise images: how many steps
``replace_downsampling`` does by a blur-pool (``stem=True``), what it keeps, and by how much the
logits differ where plain subsampling is in the pool's place; whether ``circular`` makes it
circular: then a shift by 64 pixels moves no logit, in float64. Both relative to the difference
between the logits of two images. About an hour for all on one core.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import re
import sys
import time
import warnings
from pathlib import Path

import torch
from torch import nn
from torchvision import models

from shiftbench import pool as pools
from shiftbench.errors import ShiftbenchError
from shiftbench.surgery import Replaced, circular, replace_downsampling
from shiftbench.surgery.copying import for_trial

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "surgery"))
from altered import ONE_TAP, EverySth2d, difference, images

# The smallest member of each family; a number is the side of its images, 64 pixels otherwise.
TORCHVISION = (
    "alexnet:96 convnext_tiny densenet121 efficientnet_b0 efficientnet_v2_s googlenet "
    "inception_v3:128 maxvit_t:224 mnasnet0_5 mobilenet_v2 mobilenet_v3_small regnet_x_400mf "
    "regnet_y_400mf resnet18 resnet50 resnext50_32x4d wide_resnet50_2 shufflenet_v2_x0_5 "
    "squeezenet1_0 squeezenet1_1 swin_t:224 swin_v2_t:256 vgg11:64 vgg11_bn:64 vit_b_16:224"
)
TIMM = (
    "beit_base_patch16_224:224 halonet_h1:256 botnet26t_256:256 repvgg_a0 mobileone_s1 "
    "gernet_s cait_xxs24_224:224 coat_tiny:224 convit_tiny:224 convmixer_768_32 convnext_atto "
    "cpubone_nano crossvit_tiny_240:240 csatv2:512 cs3darknet_focus_s cspresnet50 cspnext_tiny "
    "davit_tiny deit_tiny_patch16_224:224 densenet121 densenetblur121d dla34 dpn48b "
    "edgenext_xx_small efficientformer_l1:224 efficientformerv2_s0:224 efficientnet_b0 "
    "tf_efficientnetv2_b0 mixnet_s efficientvim_m1:224 efficientvit_b0 efficientvit_m0:224 "
    "eva02_tiny_patch14_224:224 fasternet_t0 fastvit_t8 focalnet_tiny_srf gcvit_xxtiny:224 "
    "ghostnet_050 hardcorenas_b hgnetv2_b0 hiera_tiny_224:224 hrnet_w18_small iformer_t "
    "inception_next_atto inception_resnet_v2:128 inception_v3:128 inception_v4:128 lcnetv2_small "
    "levit_128s:224 levit_conv_128s:224 lowformer_b0 mambaout_femto coatnet_nano_cc_224:224 "
    "maxvit_rmlp_pico_rw_256:256 poolformer_s12 gmlp_ti16_224:224 lcnet_035 mobilenetv3_small_050 "
    "mobilenetv5_base:256 mobilevit_xxs:256 mobilevitv2_050:256 mvitv2_tiny:224 "
    "naflexvit_base_patch16_gap:384 nasnetalarge:331 nest_tiny:224 nextvit_small:224 nf_regnet_b0 "
    "dm_nfnet_f0 pit_ti_224:224 pnasnet5large:331 pvt_v2_b0:224 rdnet_tiny regnetx_002 "
    "regnety_002 repghostnet_050 repvit_m1 res2net50_14w_8s res2next50 resnest14d resnet10t "
    "resnet50d resnetblur18 resnetv2_18 resnetv2_50x1_bit rexnet_100 selecsls42 legacy_seresnet18 "
    "sequencer2d_s:224 shvit_s1:224 skresnet18 starnet_s050 swiftformer_xs:224 "
    "swin_tiny_patch4_window7_224:224 swinv2_tiny_window8_256:256 swinv2_cr_tiny_224:224 "
    "tiny_vit_5m_224:224 tnt_s_patch16_224:224 tresnet_m twins_svt_small:224 vgg11_bn "
    "visformer_tiny:224 vit_tiny_patch16_224:224 vit_tiny_r_s16_p8_224:224 "
    "vit_srelpos_small_patch16_224:224 samvit_base_patch16_224:224 vitamin_small_224:224 "
    "volo_d1_224:224 ese_vovnet19b_slim legacy_xception:128 xception41 xcit_nano_12_p8_224:224"
)
SIDE = 64
NAMED = 3  # of the layers that are kept, in a cell
SAME, EXACT = 1e-4, 1e-6  # in float32, and of a shift in float64


def network(source: str, name: str, side: int) -> nn.Module:
    """Return a network with random weights whose logits depend on its images."""
    torch.manual_seed(0)
    if source == "torchvision":
        extra = {"aux_logits": False, "init_weights": False} if "ception" in name else {}
        extra = extra if name != "googlenet" else {"aux_logits": False, "init_weights": False}
        made = models.get_model(name, weights=None, num_classes=10, **extra)
    else:
        import timm

        made = timm.create_model(name, num_classes=10)
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d):
            module.momentum = 1.0
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    made.train()
    with torch.no_grad():
        made(images((3, side, side), 4))
    return for_trial(made).eval()  # scales of 1e-6 would hide their blocks


@torch.no_grad()
def rewritten(net: nn.Module, side: int) -> list[str]:
    """Return three cells: steps replaced, what is kept, and how far the logits are."""
    shape, x = (3, side, side), images((3, side, side))
    try:
        changed, done = replace_downsampling(net, pools.BlurPool2d, "zeros", True, shape)
        changed(x)
        expected, gap = net(x), 0.0
        # Where a blur-pool takes the place of an average, other logits are right.
        for pool in (ONE_TAP, EverySth2d) if _averages(done) else (ONE_TAP,):
            plain, _ = replace_downsampling(net, pool, "zeros", True, shape)
            gap = difference(plain(x), expected)
            if gap < SAME:
                break
        return [str(len(done.sites)), _kept(done), f"{gap:.0e}" if gap else "0"]
    except ShiftbenchError as error:
        return ["refused", "", str(error)]


def _averages(done: Replaced) -> bool:
    return any("Avg" in site.was for site in done.sites)


def _kept(done: Replaced) -> str:
    """Return what is kept, for a cell."""
    names = ", ".join(f"{site.name} ({site.was})" for site in done.kept[:NAMED])
    return f"{names}, {len(done.kept) - NAMED} more" if len(done.kept) > NAMED else names


@torch.no_grad()
def wrapped(net: nn.Module, side: int) -> str:
    """Return a cell: what ``circular`` does."""
    try:
        changed, _ = circular(net, (3, side, side))
    except ShiftbenchError as error:
        refused = re.search(r"network: (.*?) does not wrap", str(error))
        return f"refused: {refused[1] if refused else error}"
    changed = changed.double()
    for pixels, shift in ((max(side, 128), 64), (side, 64 if side >= 128 else 32)):
        x = images((3, pixels, pixels)).double()
        with contextlib.suppress(Exception):  # it takes one size only
            moved = difference(changed(x.roll((shift, shift), (2, 3))), changed(x))
            return "yes" if moved < EXACT else f"yes, up to its head ({moved:.0e})"
    return "ERROR it does not run"


def main() -> None:
    """Print the table, row by row."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    given = parser.parse_args()
    heads = ["family (member, px)", "replaced", "kept", "difference", "circular"]
    print(f"| {' | '.join(heads)} |\n|{' --- |' * len(heads)}")
    for source, families in (("torchvision", TORCHVISION), ("timm", TIMM)):
        for family in families.split():
            name, _, side = family.partition(":")
            if given.names and name not in given.names:
                continue
            start, pixels = time.perf_counter(), int(side or SIDE)
            try:
                net = network(source, name, pixels)
                cells = [*rewritten(net, pixels), wrapped(net, pixels)]
            except Exception as error:
                cells = [f"ERROR {type(error).__name__}: {error}".replace("\n", " ")[:300]]
            print(f"| {source} ({name}, {pixels}) | {' | '.join(cells)} |", flush=True)
            print(f"{name}: {time.perf_counter() - start:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
