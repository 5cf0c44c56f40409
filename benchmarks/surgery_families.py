"""What surgery makes of every family of torchvision and timm, as a markdown table.

    python benchmarks/surgery_families.py [--pools blur,aps] [NAME ...] > table.md

For each network, with random weights and BatchNorm statistics of noise images: whether
``replace_downsampling`` rewrites it (``stem=True``), what it keeps, and by how much the logits
differ where the pool is plain subsampling; whether ``circular`` makes it circular, and by how much
a shift by 64 pixels then moves the logits, in float64. Both relative to the difference between the
logits of two images. About an hour for all on one core.
"""

from __future__ import annotations

import argparse
import functools
import logging
import sys
import time
import warnings

import torch
from torch import Tensor, nn
from torchvision import models

from shiftbench import pool as pools
from shiftbench.errors import ShiftbenchError
from shiftbench.surgery import Replaced, circular, replace_downsampling
from shiftbench.surgery.copying import for_trial

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
POOLS = {
    "max": pools.MaxPool2d, "avg": pools.AvgPool2d, "stride": pools.Stride2d,
    "blur": pools.BlurPool2d, "aps": pools.AdaptivePolyphase2d, "ideal": pools.IdealPool2d,
}  # fmt: skip
SIDE = 64
NAMED = 3  # of the layers that are kept, in a cell


class EverySth(nn.Module):
    """Plain subsampling, as a pool that picks its grid: averages are taken in front of it, too.

    ``x: (N, C, H, W) -> (N, C, ceil(H/s), ceil(W/s))``.
    """

    max_first = True

    def __init__(self, channels: int, stride: int = 2, padding: str = "zeros") -> None:
        super().__init__()
        self.stride = stride

    def phase(self, x: Tensor) -> Tensor:
        """Return the first grid for every image."""
        return torch.zeros(len(x), dtype=torch.long, device=x.device)

    def forward(self, x: Tensor, phase: Tensor | None = None) -> Tensor:
        """Return the samples."""
        return x[:, :, :: self.stride, :: self.stride]


PLAIN = functools.partial(pools.BlurPool2d, filter_size=1)


def images(shape: tuple[int, int, int], count: int = 2) -> Tensor:
    """Return noise images."""
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(1))


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


def difference(one: Tensor, other: Tensor) -> float:
    """Return how far two batches' logits differ, relative to those of two images."""
    spread = (other[0] - other[1]).abs().max()
    return float((one - other).abs().max() / spread.clamp(min=1e-30))


@torch.no_grad()
def rewritten(net: nn.Module, side: int, pool: str) -> str:
    """Return a cell: what ``replace_downsampling`` does."""
    shape, x = (3, side, side), images((3, side, side))
    padding = "circular" if pool == "ideal" else "zeros"
    try:
        changed, done = replace_downsampling(net, POOLS[pool], padding, True, shape)
        changed(x)
        cell = f"{len(done.sites)} replaced{_kept(done)}"
        if pool != "blur":
            return cell
    except ShiftbenchError as error:
        return f"refused: {error}"
    averages = any("Avg" in site.was for site in done.sites)
    try:
        plain, _ = replace_downsampling(net, EverySth if averages else PLAIN, "zeros", True, shape)
    except ShiftbenchError as error:
        return f"{cell}; with averages: {error}"
    return f"{cell}; equal to {difference(plain(x), net(x)):.0e}"


def _kept(done: Replaced) -> str:
    """Return what is kept, for a cell."""
    if not done.kept:
        return ""
    names = ", ".join(f"{site.name} ({site.was})" for site in done.kept[:NAMED])
    more = ", ..." if len(done.kept) > NAMED else ""
    return f", {len(done.kept)} kept: {names}{more}"


@torch.no_grad()
def wrapped(net: nn.Module, side: int) -> str:
    """Return a cell: what ``circular`` does."""
    try:
        changed, names = circular(net, (3, side, side))
    except ShiftbenchError as error:
        return f"refused: {error}"
    side = max(side, 128)
    try:
        changed, x = changed.double(), images((3, side, side)).double()
        moved = difference(changed(x.roll((64, 64), (2, 3))), changed(x))
    except Exception:  # of one size only
        return f"{len(names)} layers; takes one size"
    return f"{len(names)} layers; moves logits by {moved:.0e}"


def main() -> None:
    """Print the table, row by row."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pools", default="blur")
    parser.add_argument("names", nargs="*")
    given = parser.parse_args()
    chosen = given.pools.split(",")
    heads = ["network", *(f"pool={pool}" for pool in chosen), "padding=circular", "seconds"]
    print(f"| {' | '.join(heads)} |\n|{' --- |' * len(heads)}")
    for source, families in (("torchvision", TORCHVISION), ("timm", TIMM)):
        for family in families.split():
            name, _, side = family.partition(":")
            if given.names and name not in given.names:
                continue
            start, pixels = time.perf_counter(), int(side or SIDE)
            try:
                net = network(source, name, pixels)
                cells = [rewritten(net, pixels, pool) for pool in chosen] + [wrapped(net, pixels)]
            except Exception as error:
                cells = [f"ERROR {type(error).__name__}: {error}".replace("\n", " ")[:300]]
            cells = [f"{source} {name} {pixels}", *cells, f"{time.perf_counter() - start:.0f}"]
            print(f"| {' | '.join(cells)} |", flush=True)
            print(family, file=sys.stderr)


if __name__ == "__main__":
    main()
