"""Every family of torchvision and many of timm: rewritten and equal, circular, or refused by name.

Members are small, and so are their images; ``benchmarks/surgery_families.py`` uses
commonly used members.
"""

import pytest
import torch
from altered import ONE_TAP, EverySth2d, difference, images, moved, names_a_layer
from torch import nn
from torchvision import models
from torchvision.models import convnext, densenet, efficientnet, maxvit, resnet, squeezenet, vgg

from shiftbench import pool as pools
from shiftbench.errors import ShiftbenchError
from shiftbench.surgery import circular, replace_downsampling
from shiftbench.surgery.copying import for_trial

pytestmark = pytest.mark.filterwarnings("ignore")


def _vgg(batch_norm):
    net = vgg.VGG(vgg.make_layers([8, "M", 8, "M", 16, "M"], batch_norm), init_weights=False)
    net.classifier = nn.Linear(16 * 49, 10)
    return net


def _alexnet():
    net = models.alexnet()
    net.classifier = nn.Linear(256 * 36, 10)
    return net


def _convnext():
    blocks = [convnext.CNBlockConfig(8, 16, 1), convnext.CNBlockConfig(16, None, 1)]
    return convnext.ConvNeXt(blocks, num_classes=10)


def _efficientnet_v2():
    fused, plain = efficientnet.FusedMBConvConfig, efficientnet.MBConvConfig
    stages = [
        fused(1, 3, 1, 8, 8, 1), fused(4, 3, 2, 8, 16, 1), plain(4, 3, 2, 16, 24, 1),
        plain(6, 3, 2, 24, 32, 1),
    ]  # fmt: skip
    return efficientnet.EfficientNet(stages, dropout=0.0, num_classes=10, last_channel=64)


def _maxvit():
    return maxvit.MaxVit((64, 64), 8, 4, [8, 16], [1, 1], 8, 0.0, num_classes=10)


def _resnet(block, **settings):
    return resnet.ResNet(block, [1, 1, 1, 1], num_classes=10, **settings)


def _swin(kind, block, merging):
    return kind(
        [4, 4], 8, [1, 1], [2, 2], [4, 4], num_classes=10, block=block, downsample_layer=merging
    )


swin = models.swin_transformer
inception = {"num_classes": 10, "aux_logits": False, "init_weights": False}
TORCHVISION = {
    "alexnet": _alexnet,
    "convnext": _convnext,
    "densenet": lambda: densenet.DenseNet(8, (2, 2, 2, 2), 16, num_classes=10),
    "efficientnet": lambda: models.efficientnet_b0(num_classes=10),
    "efficientnet_v2": _efficientnet_v2,
    "googlenet": lambda: models.googlenet(**inception),
    "inception_v3": lambda: models.inception_v3(**inception),
    "maxvit": _maxvit,
    "mnasnet": lambda: models.mnasnet0_5(num_classes=10),
    "mobilenet_v2": lambda: models.mobilenet_v2(num_classes=10, width_mult=0.25),
    "mobilenet_v3": lambda: models.mobilenet_v3_small(num_classes=10),
    "regnet_x": lambda: models.regnet_x_400mf(num_classes=10),
    "regnet_y": lambda: models.regnet_y_400mf(num_classes=10),
    "resnet, basic": lambda: _resnet(resnet.BasicBlock),
    "resnet, bottleneck": lambda: _resnet(resnet.Bottleneck),
    "resnext": lambda: _resnet(resnet.Bottleneck, groups=8, width_per_group=4),
    "shufflenet": lambda: models.shufflenet_v2_x0_5(num_classes=10),
    "squeezenet1_0": lambda: squeezenet.SqueezeNet("1_0", num_classes=10),
    "squeezenet1_1": lambda: squeezenet.SqueezeNet("1_1", num_classes=10),
    "swin": lambda: _swin(
        swin.SwinTransformer, swin.SwinTransformerBlock, swin.PatchMerging),
    "swin_v2": lambda: _swin(
        swin.SwinTransformer, swin.SwinTransformerBlockV2, swin.PatchMergingV2),
    "vgg": lambda: _vgg(False),
    "vgg_bn": lambda: _vgg(True),
    "vit": lambda: models.VisionTransformer(64, 16, 1, 2, 16, 32, num_classes=10),
}  # fmt: skip

LAYERS, DEPTHS, TOKENS = {"layers": (1,) * 4}, {"depths": (1,) * 4}, {"img_size": 64, "depth": 1}
SMALL_SWIN = {"img_size": 64, "embed_dim": 24} | DEPTHS
TIMM = {
    "beit_base_patch16_224": TOKENS | {"embed_dim": 96, "num_heads": 3},
    "cait_xxs24_224": TOKENS,
    "coatnet_nano_cc_224": DEPTHS | {"img_size": 64, "embed_dim": (16, 32, 48, 64)},
    "convit_tiny": {"img_size": 64, "depth": 2, "local_up_to_layer": 1},
    "convnext_atto": DEPTHS | {"dims": (8, 16, 24, 32)},
    "convnextv2_atto": DEPTHS | {"dims": (8, 16, 24, 32)},
    "cpubone_nano": {},
    "cs3darknet_focus_s": {},
    "davit_tiny": DEPTHS | {"embed_dims": (16, 32, 48, 64), "num_heads": (1, 2, 3, 4)},
    "deit_tiny_patch16_224": TOKENS,
    "densenetblur121d": {"growth_rate": 8, "block_config": (1, 2, 2, 1)},
    "dla46x_c": {},
    "edgenext_xx_small": DEPTHS,
    "efficientnet_lite0": {},
    "efficientvit_b0": {},
    "ese_vovnet19b_slim": {},
    "eva02_tiny_patch14_224": {"img_size": 56, "depth": 1},
    "fasternet_t0": DEPTHS,
    "fastvit_t8": LAYERS,
    "ghostnet_050": {},
    "hgnetv2_b0": {},
    "hiera_tiny_224": {"img_size": 64, "embed_dim": 16, "stages": (1, 1, 2, 1)},
    "inception_next_atto": DEPTHS,
    "lcnet_035": {},
    "legacy_seresnet18": LAYERS,
    "levit_128s": {"img_size": 64, "depth": (1, 1, 1)},
    "mambaout_femto": DEPTHS | {"dims": (16, 24, 32, 48)},
    "mobilenetv4_conv_small_050": {},
    "mobilevit_xxs": {},
    "mobilevitv2_050": {},
    "pvt_v2_b0": {},
    "repvgg_a0": {},
    "res2next50": LAYERS,
    "resnest14d": {},
    "resnet10t": {},
    "resnetaa34d": LAYERS,
    "resnetblur18": {},
    "resnetv2_18": {},
    "skresnet18": LAYERS,
    "starnet_s050": {},
    "swin_tiny_patch4_window7_224": SMALL_SWIN | {"window_size": 4},
    "swinv2_cr_tiny_224": SMALL_SWIN,
    "swinv2_tiny_window8_256": SMALL_SWIN | {"window_size": 4},
    "tiny_vit_5m_224": DEPTHS,
    "tnt_s_patch16_224": TOKENS,
    "tresnet_m": LAYERS,
    "twins_svt_small": DEPTHS | {"img_size": 64, "wss": (4,) * 4},
    "vit_srelpos_small_patch16_224": TOKENS,
    "vit_tiny_patch16_224": TOKENS,
    "vit_tiny_r_s16_p8_224": TOKENS,
    "xcit_nano_12_p8_224": {"depth": 1},
}
SIDES = {"alexnet": 128, "inception_v3": 128, "eva02_tiny_patch14_224": 56}

# Where the averages of a network cannot be taken in front of one grid for all branches.
ONE_GRID = {"tresnet_m"}
# What reads positions, cuts windows of a fixed grid, or does not wrap around; of torchvision, with
# the layer that does.
NOT_CIRCULAR = {
    "alexnet": "features.0 (Conv2d)",
    "inception_v3": "Conv2d_1a_3x3.conv (Conv2d)",
    "maxvit": "blocks.0.layers.0.layers.window_attention.partition_op (WindowPartition)",
    "squeezenet1_0": "features.0 (Conv2d)",
    "squeezenet1_1": "features.0 (Conv2d)",
    "swin": "features.1.0.attn (ShiftedWindowAttention)",
    "swin_v2": "features.1.0.attn (ShiftedWindowAttentionV2)",
    "vit": "encoder (Encoder)",
}
NOT_CIRCULAR_IN_TIMM = {
    "beit_base_patch16_224", "cait_xxs24_224", "convit_tiny", "davit_tiny",
    "deit_tiny_patch16_224", "edgenext_xx_small", "efficientvit_b0", "eva02_tiny_patch14_224",
    "hiera_tiny_224", "levit_128s", "swin_tiny_patch4_window7_224", "swinv2_cr_tiny_224",
    "swinv2_tiny_window8_256", "tiny_vit_5m_224", "tnt_s_patch16_224",
    "vit_srelpos_small_patch16_224", "vit_tiny_patch16_224", "vit_tiny_r_s16_p8_224",
    "xcit_nano_12_p8_224",
}  # fmt: skip
READ_BY_THE_HEAD = {"vgg", "vgg_bn"}


def shape_of(family):
    side = SIDES.get(family, 64)
    return 3, side, side


def network(family):
    """Return a network whose BatchNorm has seen images, so that its logits depend on them."""
    torch.manual_seed(0)
    if family in TORCHVISION:
        net = TORCHVISION[family]()
    else:
        timm = pytest.importorskip("timm", reason="an optional package")
        if not timm.is_model(family):
            pytest.skip("this version of timm does not know it")
        net = timm.create_model(family, num_classes=10, **TIMM[family])
    for module in net.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = 1.0
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    net.train()
    with torch.no_grad():
        net(images(shape_of(family), 4))
    return for_trial(net).eval()  # scales of 1e-6 would hide their blocks


@pytest.fixture(scope="module", params=[*TORCHVISION, *TIMM])
def family(request):
    return request.param


@pytest.fixture(scope="module")
def net(family):
    return network(family)


def plain(net, shape):
    """Return the network with plain subsampling; averages are taken in front of it."""
    changed, done = replace_downsampling(net, ONE_TAP, stem=True, image_shape=shape)
    if any("Avg" in site.was for site in done.sites):
        changed, done = replace_downsampling(net, EverySth2d, stem=True, image_shape=shape)
    return changed, done


@pytest.mark.slow
def test_plain_subsampling_gives_the_same_logits_or_is_refused_by_name(family, net):
    shape, refused = shape_of(family), False
    try:
        changed, done = plain(net, shape)
    except ShiftbenchError as error:
        refused = True
        assert names_a_layer(str(error), net)
    else:
        assert done.sites or done.kept
        x = images(shape)
        with torch.no_grad():
            assert difference(changed(x), net(x)) < 1e-4
        assert list(changed.state_dict()) == list(net.state_dict())
    assert refused == (family in ONE_GRID)


@pytest.mark.slow
def test_circular_shifts_leave_the_logits_or_are_refused_by_name(family, net):
    shape = shape_of(family)
    try:
        changed, _ = circular(net, shape)
    except ShiftbenchError as error:
        assert family in NOT_CIRCULAR.keys() | NOT_CIRCULAR_IN_TIMM
        assert f"{NOT_CIRCULAR.get(family, '')} does not wrap around" in str(error)
        assert names_a_layer(str(error), net)
        return
    assert family not in NOT_CIRCULAR.keys() | NOT_CIRCULAR_IN_TIMM
    x = images(shape).double()
    shifted = moved(changed.double(), x, shape[1] // 2)
    assert (shifted > 1e-3) if family in READ_BY_THE_HEAD else shifted < 1e-6


EXACT = ("resnet, basic", "convnext", "densenet", "mobilenet_v3", "shufflenet")


@pytest.mark.slow
@pytest.mark.parametrize("name", EXACT)
def test_with_content_dependent_grids_no_circular_shift_changes_a_logit(name):
    # In float64: maxima over many untrained layers make float32's rounding a question of threads.
    shape, make = shape_of(name), pools.AdaptivePolyphase2d
    net, x = network(name).double(), images(shape).double()
    wrapped, _ = circular(net, shape)
    if name in ("convnext", "densenet"):
        changed, _ = replace_downsampling(wrapped, make, "circular", stem=True, image_shape=shape)
    else:
        pooled, _ = replace_downsampling(net, make, stem=True, image_shape=shape)
        changed, _ = circular(pooled, shape)
    with torch.no_grad():
        logits, fixed = changed(x), wrapped(x)
        for shift in [(1, 0), (3, 5), (31, 63)]:
            assert difference(changed(x.roll(shift, (2, 3))), logits) < 1e-8
            assert difference(wrapped(x.roll(shift, (2, 3))), fixed) > 1e-4
