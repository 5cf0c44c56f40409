"""Networks of torchvision with their downsampling replaced: every family, every pool."""

import copy
import functools

import pytest
import torch
from torch import nn
from torchvision import models
from torchvision.models import convnext, densenet, resnet, squeezenet, vgg

from shiftbench import pool as pools
from shiftbench.surgery import circular, replace_downsampling


def _light_vgg():
    net = vgg.VGG(vgg.make_layers([8, "M", 8, "M", 16, "M"], batch_norm=True), init_weights=False)
    net.classifier = nn.Linear(16 * 49, 10)
    return net


def _light_alexnet():
    net = models.alexnet()
    net.classifier = nn.Linear(256 * 36, 10)
    return net


def _light_convnext():
    blocks = [convnext.CNBlockConfig(8, 16, 1), convnext.CNBlockConfig(16, None, 1)]
    return convnext.ConvNeXt(blocks, num_classes=10)


FAMILIES = {
    "alexnet": _light_alexnet,
    "basic": lambda: resnet.ResNet(resnet.BasicBlock, [1, 1, 1, 1], num_classes=10),
    "bottleneck": lambda: resnet.ResNet(resnet.Bottleneck, [1, 1, 1, 1], num_classes=10),
    "convnext": _light_convnext,
    "densenet": lambda: densenet.DenseNet(8, (2, 2, 2, 2), 16, num_classes=10),
    "efficientnet_b0": lambda: models.efficientnet_b0(num_classes=10),
    "googlenet": lambda: models.googlenet(num_classes=10, aux_logits=False, init_weights=False),
    "inception_v3": lambda: models.inception_v3(
        num_classes=10, aux_logits=False, init_weights=False
    ),
    "mnasnet": lambda: models.mnasnet0_5(num_classes=10),
    "mobilenet_v2": lambda: models.mobilenet_v2(num_classes=10, width_mult=0.25),
    "mobilenet_v3": lambda: models.mobilenet_v3_small(num_classes=10),
    "regnet": lambda: models.regnet_y_400mf(num_classes=10),
    "shufflenet": lambda: models.shufflenet_v2_x0_5(num_classes=10),
    "squeezenet": lambda: squeezenet.SqueezeNet("1_1", num_classes=10),
    "vgg": _light_vgg,
}
SIDES = {"alexnet": 128, "inception_v3": 96}


def pictures(family, count=2):
    side = SIDES.get(family, 64)
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(1))


def network(family):
    # BatchNorm that has seen pictures, so that the logits are of some size.
    torch.manual_seed(0)
    net = FAMILIES[family]()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    net.train()
    with torch.no_grad():
        net(pictures(family, 4))
    return net.eval()


POOLS = {
    "max": pools.MaxPool2d,
    "avg": pools.AvgPool2d,
    "stride": pools.Stride2d,
    "blur": pools.BlurPool2d,
    "aps": pools.AdaptivePolyphase2d,
}
SUBSAMPLING = functools.partial(pools.BlurPool2d, filter_size=1)
SLOW = ("efficientnet_b0", "googlenet", "inception_v3", "regnet")
PAIRS = [
    (family, pool) for family in FAMILIES for pool in POOLS
    if family not in SLOW or pool in ("avg", "aps")
]  # fmt: skip
kept = functools.lru_cache(maxsize=1)(network)


@pytest.mark.parametrize(("family", "pool"), PAIRS)
def test_shapes_and_weights_stay(family, pool):
    net, x = kept(family), pictures(family, 1)
    changed, replaced = replace_downsampling(net, POOLS[pool], stem=True)
    with torch.no_grad():
        logits = changed(x)
    assert logits.shape == (1, 10)
    assert logits.isfinite().all()
    before, after = net.state_dict(), changed.state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert replaced.sites or pool in ("max", "stride")


@pytest.mark.parametrize("family", FAMILIES)
def test_plain_subsampling_behind_the_activation_is_a_stride(family):
    net, x = kept(family), pictures(family)
    if family == "densenet":  # blur-pool takes the place of an average: leave none
        net = network(family)
        for stage in (1, 2, 3):
            net.features.get_submodule(f"transition{stage}").pool = nn.MaxPool2d(1, 2)
    changed, replaced = replace_downsampling(net, SUBSAMPLING, stem=True)
    assert len(replaced.sites) >= 2
    assert not replaced.kept
    with torch.no_grad():
        expected = net(x)
        assert expected.abs().max() > 1e-3
        torch.testing.assert_close(changed(x), expected, rtol=1e-5, atol=1e-5)


CIRCULAR = ("basic", "bottleneck", "convnext", "densenet", "mnasnet", "mobilenet_v2",
            "mobilenet_v3", "shufflenet")  # fmt: skip


@pytest.mark.parametrize("family", CIRCULAR)
@pytest.mark.parametrize("first", ["circular", "pool"])
def test_with_content_picked_grids_no_circular_shift_changes_a_logit(family, first):
    # In float64: maxima over many untrained layers make float32's rounding a question of threads.
    net, x = copy.deepcopy(kept(family)).double(), pictures(family).double()
    make = POOLS["aps"]
    if first == "circular":
        changed, _ = replace_downsampling(circular(net)[0], make, "circular", stem=True)
    else:
        changed, _ = circular(replace_downsampling(net, make, stem=True)[0])
    plain, _ = circular(net)
    with torch.no_grad():
        logits, fixed = changed(x), plain(x)
        for shift in [(1, 0), (0, 1), (3, 5), (17, 2), (31, 63)]:
            moved = x.roll(shift, (2, 3))
            scale = float(logits.abs().max())
            torch.testing.assert_close(changed(moved), logits, rtol=0, atol=1e-9 * scale)
            assert not torch.allclose(plain(moved), fixed, rtol=0, atol=1e-4 * scale)
