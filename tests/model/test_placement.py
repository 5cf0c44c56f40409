"""Where a downsampling step is: order of the layers, cost, and what is refused."""

import pytest
import torch
from torch import nn

from shiftbench.errors import UsageError
from shiftbench.head.gap import GlobalAverageHead
from shiftbench.model.cost import cost
from shiftbench.model.linear import LinearVGG
from shiftbench.model.resnet import ResNet
from shiftbench.model.vgg import VGG
from shiftbench.ops.max_filter import StrideOneMax2d
from shiftbench.pool import (
    AdaptivePolyphase2d,
    AvgPool2d,
    BlurPool2d,
    IdealPool2d,
    MaxPool2d,
    NoPool2d,
    Stride2d,
)

MODELS = [(VGG, 8), (VGG, 13), (ResNet, 20), (ResNet, 18)]
POOLS = [MaxPool2d, AvgPool2d, BlurPool2d, IdealPool2d, AdaptivePolyphase2d]


def network(model, pool, depth, placement="after", padding="circular", **settings):
    torch.manual_seed(0)
    settings = {"depth": depth, "width": 4, "placement": placement, **settings}
    return model(5, 3, (32, 32), pool, GlobalAverageHead, padding, **settings).eval()


def order(net):
    """The layers of a VGG's features, without BatchNorm."""
    return [type(layer).__name__ for layer in net.features if not isinstance(layer, nn.BatchNorm2d)]


def test_in_a_vgg_the_step_moves_before_the_last_convolution_of_a_stage():
    after, before = (network(VGG, AvgPool2d, 13, where, downsamplings=1) for where in
                     ("after", "before"))  # fmt: skip
    conv, rest = ["Conv2d", "ReLU"], ["Conv2d", "ReLU"] * 11
    assert order(after) == [*conv, *conv, "AvgPool2d", *rest]
    assert order(before) == [*conv, "AvgPool2d", *conv, *rest]


@pytest.mark.slow
@pytest.mark.parametrize(("model", "depth"), MODELS)
@pytest.mark.parametrize("pool", POOLS)
def test_before_a_convolution_every_pool_costs_no_more_than_a_stride(model, depth, pool):
    """A convolution of stride 1 on the reduced map has the work of a strided one."""
    strided = cost(network(model, Stride2d, depth), (3, 32, 32))
    placed = cost(network(model, pool, depth, "before"), (3, 32, 32))
    behind = cost(network(model, pool, depth, "after"), (3, 32, 32))
    assert placed.params == strided.params == behind.params
    filters = 0 if pool is not BlurPool2d else 0.1 * strided.macs  # a blur is counted
    assert strided.macs <= placed.macs <= strided.macs + filters
    assert behind.macs > placed.macs


@pytest.mark.parametrize(("model", "depth"), MODELS)
@pytest.mark.parametrize("placement", ["after", "before"])
def test_a_pool_knows_the_channels_of_its_map(model, depth, placement):
    class Counting(AvgPool2d):
        def __init__(self, channels, stride=2, padding="zeros"):
            super().__init__(channels, stride, padding)
            self.scale = nn.Parameter(torch.ones(channels, 1, 1))

        def forward(self, x):
            assert x.shape[1] == len(self.scale)
            return super().forward(self.scale * x)

    net = network(model, Counting, depth, placement)
    assert net(torch.rand(2, 3, 32, 32)).shape == (2, 5)


@pytest.mark.parametrize(("model", "depth"), MODELS)
def test_aps_before_the_convolutions_is_exactly_invariant(model, depth):
    net = network(model, AdaptivePolyphase2d, depth, "before").double()
    x = torch.rand(2, 3, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for shift in [(1, 0), (0, 1), (3, 5), (31, 16)]:
            torch.testing.assert_close(net(x.roll(shift, (2, 3))), net(x), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("pool", [Stride2d, NoPool2d])
@pytest.mark.parametrize("model", [VGG, ResNet])
def test_a_pool_that_does_not_subsample_has_no_placement(model, pool):
    with pytest.raises(UsageError, match=f"a {pool.__name__} subsamples nothing itself"):
        network(model, pool, 16 if model is VGG else 20, "before")


@pytest.mark.parametrize("model", [VGG, ResNet])
def test_an_unknown_placement_is_refused(model):
    with pytest.raises(UsageError, match=r"model\.placement=behind is not known.*after, before"):
        network(model, MaxPool2d, 16 if model is VGG else 20, "behind")


def with_max(pool, chosen):
    return lambda channels, stride=2, padding="zeros": pool(
        channels, stride, padding, max_first=chosen
    )


@pytest.mark.parametrize("pool", [AvgPool2d, BlurPool2d, IdealPool2d, AdaptivePolyphase2d])
def test_max_first_decides_about_the_maximum_of_a_vgg(pool):
    counts = {
        chosen: sum(
            isinstance(layer, StrideOneMax2d)
            for layer in network(VGG, with_max(pool, chosen), 8).features
        )
        for chosen in (True, False, None)
    }
    assert counts == {True: 3, False: 0, None: 3 * pool.max_first}


def test_a_maximum_before_haar_is_blur_of_two_taps():
    """Zhang's max-blur with two taps is a running maximum, averaged and subsampled."""
    nets = [
        network(VGG, pool, 8)
        for pool in (with_max(AvgPool2d, True), lambda *a, **k: BlurPool2d(*a, filter_size=2, **k))
    ]
    x = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(nets[0](x), nets[1](x))


@pytest.mark.parametrize("model", [LinearVGG, ResNet])
def test_a_maximum_without_a_place_is_refused_and_its_absence_is_not(model):
    settings = {"depth": 8} if model is LinearVGG else {"depth": 20}
    with pytest.raises(UsageError, match=r"pool\.max_first=true puts a maximum .* leave it away"):
        network(model, with_max(AvgPool2d, True), **settings)
    network(model, with_max(AvgPool2d, False), **settings)
