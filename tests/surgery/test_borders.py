"""Borders that wrap around: layer by layer what padding the other side of the map gives."""

import pytest
import torch
import torch.nn.functional as F
from altered import Chain, images, moved, network
from torch import nn

import shiftbench
from shiftbench.head.gap import GlobalAverageHead
from shiftbench.model.resnet import ResNet
from shiftbench.model.vgg import VGG
from shiftbench.pool import AdaptivePolyphase2d, BlurPool2d
from shiftbench.shift.circular import Circular
from shiftbench.surgery import circular

MAP = (3, 8, 8)


class Subclass(nn.Conv2d):
    """A convolution with a class of its own."""


class Standardised(nn.Conv2d):
    """A convolution that computes its weight, as in BiT and NFNet."""

    def forward(self, x):
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        return F.conv2d(x, weight, self.bias, self.stride, self.padding, self.dilation)


class PadsItself(nn.Conv2d):
    """A convolution that pads by a function."""

    def forward(self, x):
        return F.conv2d(F.pad(x, (1, 1, 1, 1)), self.weight, self.bias, self.stride)


class Conditional(nn.Conv2d):
    """A convolution whose own ``_conv_forward`` scales its weight."""

    def _conv_forward(self, x, weight, bias):
        return super()._conv_forward(x, 2 * weight, bias)


normed = nn.utils.parametrizations
CONVOLUTIONS = {
    "conv": lambda: nn.Conv2d(3, 4, 3, padding=1),
    "reflect": lambda: nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"),
    "replicate": lambda: nn.Conv2d(3, 4, 3, padding=1, padding_mode="replicate"),
    "lazy": lambda: nn.LazyConv2d(4, 3, padding=1),
    "subclass": lambda: Subclass(3, 4, 3, padding=1),
    "own forward": lambda: Standardised(3, 4, 3, padding=1),
    "own _conv_forward": lambda: Conditional(3, 4, 3, padding=1),
    "pads itself": lambda: PadsItself(3, 4, 3),
    "utils.weight_norm": lambda: nn.utils.weight_norm(nn.Conv2d(3, 4, 3, padding=1)),
    "utils.spectral_norm": lambda: nn.utils.spectral_norm(nn.Conv2d(3, 4, 3, padding=1)),
    "weight_norm": lambda: normed.weight_norm(nn.Conv2d(3, 4, 3, padding=1)),
    "spectral_norm": lambda: normed.spectral_norm(nn.Conv2d(3, 4, 3, padding=1)),
    "weight_norm of a subclass": lambda: normed.weight_norm(Standardised(3, 4, 3, padding=1)),
}  # fmt: skip


@pytest.mark.parametrize("kind", CONVOLUTIONS)
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_convolution_reads_the_opposite_side_of_the_map(kind):
    torch.manual_seed(0)
    conv = CONVOLUTIONS[kind]()
    net, x = nn.Sequential(nn.Identity(), conv).eval(), images(MAP)
    changed, names = circular(net, MAP)
    # The same layer on a map that has its border already; what the layer itself adds is cut off.
    bordered = F.pad(x, (2, 2, 2, 2), mode="circular")
    torch.testing.assert_close(changed(x), changed[0](net(bordered))[:, :, 2:-2, 2:-2])
    assert names == ["1"]
    assert type(changed[1]).__name__ == type(conv).__name__ or kind == "lazy"
    assert list(changed.state_dict()) == list(net.state_dict())


@pytest.mark.parametrize(("conv", "border"), [
    (nn.Conv2d(3, 4, 4, padding="same"), (1, 2, 1, 2)),
    (nn.Conv2d(3, 4, (1, 4), padding="same"), (1, 2, 0, 0)),
    (nn.Conv2d(3, 4, 2, padding="same", dilation=3), (1, 2, 1, 2)),
    (nn.Conv2d(3, 4, 3, padding="same"), (1, 1, 1, 1)),
    (nn.Conv2d(3, 4, 3, 2, 1), (1, 0, 1, 0)),
    (nn.Conv2d(3, 4, 7, 2, 3), (3, 3, 3, 3)),
    (nn.Conv2d(3, 4, 4, 2, 1), (1, 1, 1, 1)),
])  # fmt: skip
def test_the_border_of_a_convolution_is_as_wide_as_it_was(conv, border):
    x = images(MAP)
    changed, _ = circular(nn.Sequential(conv), MAP)
    expected = F.conv2d(
        F.pad(x, border, mode="circular"), conv.weight, conv.bias, conv.stride,
        dilation=conv.dilation,
    )  # fmt: skip
    torch.testing.assert_close(changed(x), expected)


@pytest.mark.parametrize(("pool", "border", "function"), [
    (nn.MaxPool2d(3, 2, 1), (1, 0, 1, 0), lambda x: F.max_pool2d(x, 3, 2)),
    (nn.MaxPool2d(3, 2, ceil_mode=True), (0, 1, 0, 1), lambda x: F.max_pool2d(x, 3, 2)),
    (nn.MaxPool2d(3, 1, 1), (1, 1, 1, 1), lambda x: F.max_pool2d(x, 3, 1)),
    (nn.MaxPool2d(2, 1, 1, dilation=2), (1, 1, 1, 1), lambda x: F.max_pool2d(x, 2, 1, 0, 2)),
    (nn.AvgPool2d(3, 2, 1), (1, 0, 1, 0), lambda x: F.avg_pool2d(x, 3, 2)),
    (nn.AvgPool2d(3, 2, ceil_mode=True), (0, 1, 0, 1), lambda x: F.avg_pool2d(x, 3, 2)),
    (nn.AvgPool2d(3, 2, 1, count_include_pad=False), (1, 0, 1, 0), lambda x: F.avg_pool2d(x, 3, 2)),
    (nn.AvgPool2d(3, 1, 1, divisor_override=5), (1, 1, 1, 1),
     lambda x: F.avg_pool2d(x, 3, 1) * 9 / 5),
])  # fmt: skip
def test_a_pooling_window_reads_the_opposite_side_of_the_map(pool, border, function):
    x = images(MAP)
    changed, names = circular(nn.Sequential(pool), MAP)
    torch.testing.assert_close(changed(x), function(F.pad(x, border, mode="circular")))
    assert names == ["0"]


@pytest.mark.parametrize("border", [
    nn.ZeroPad2d((0, 1, 2, 0)), nn.ConstantPad2d((0, 1, 2, 0), 0.5),
    nn.ReflectionPad2d((0, 1, 2, 0)), nn.ReplicationPad2d((0, 1, 2, 0)),
])  # fmt: skip
def test_a_border_layer_wraps_around(border):
    x = images((2, 5, 6))
    changed, names = circular(nn.Sequential(border), (2, 5, 6))
    assert names == ["0"]
    assert torch.equal(changed(x), F.pad(x, (0, 1, 2, 0), mode="circular"))


def test_layers_without_border_are_unchanged():
    net = nn.Sequential(
        nn.Conv2d(3, 4, 1), nn.MaxPool2d(2), nn.AvgPool2d(2, ceil_mode=True),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular"),
    )  # fmt: skip
    changed, names = circular(net, (3, 16, 16))
    assert names == []
    x = images((3, 16, 16))
    assert torch.equal(changed(x), net(x))


def test_every_border_wraps_around_and_the_original_is_untouched():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding="same", dilation=2),
        nn.MaxPool2d(3, 1, 1), nn.AvgPool2d(3, 1, 1), BlurPool2d(4, stride=1),
        nn.Conv2d(4, 4, 1), nn.MaxPool2d(2),
    )  # fmt: skip
    changed, names = circular(net)
    assert names == ["0", "1", "2", "3", "4"]
    assert net[0].padding_mode == "zeros"
    x = torch.randn(2, 3, 8, 8)
    shifted = changed(x.roll((2, -4), (2, 3)))
    torch.testing.assert_close(shifted, changed(x).roll((1, -2), (2, 3)), rtol=0, atol=1e-5)
    assert not torch.allclose(net(x.roll(2, 2)), net(x).roll(1, 2), atol=1e-3)
    assert changed[0].weight is not net[0].weight
    assert torch.equal(changed[0].weight, net[0].weight)


def test_away_from_the_border_the_outputs_are_equal():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 5, padding=2), nn.MaxPool2d(3, 2, 1))
    changed, _ = circular(net)
    x = torch.randn(1, 3, 16, 16)
    assert torch.equal(changed(x)[:, :, 2:-2, 2:-2], net(x)[:, :, 2:-2, 2:-2])


class PadsByFunction(nn.Module):
    """A block whose border is a function's, in each of the ways there are."""

    def __init__(self, way):
        super().__init__()
        self.conv, self.way = nn.Conv2d(8, 8, 3), way

    def forward(self, x):
        return self.way(self.conv, x)


def _unfolded(conv, x):
    columns = F.unfold(x, 3, padding=1)
    return (conv.weight.flatten(1) @ columns).unflatten(2, x.shape[2:])


FUNCTIONS = {
    "F.pad": lambda conv, x: conv(F.pad(x, (1, 1, 1, 1))),
    "F.pad of a constant": lambda conv, x: conv(F.pad(x, (1, 1, 1, 1), "constant", 0.3)),
    "F.pad that reflects": lambda conv, x: conv(F.pad(x, (1, 1, 1, 1), mode="reflect")),
    "F.conv2d": lambda conv, x: F.conv2d(x, conv.weight, conv.bias, padding=1),
    "torch.conv2d": lambda conv, x: torch.conv2d(x, conv.weight, conv.bias, 1, 1),
    "F.conv2d, same": lambda conv, x: F.conv2d(x, conv.weight, conv.bias, padding="same"),
    "F.max_pool2d": lambda conv, x: F.max_pool2d(x, 3, stride=1, padding=1),
    "F.avg_pool2d": lambda conv, x: F.avg_pool2d(x, 3, 1, 1),
    "F.avg_pool2d, ceil_mode": lambda conv, x: F.avg_pool2d(x, 3, 2, ceil_mode=True),
    "F.unfold": _unfolded,
}


def _shared(layer):
    return network(nn.Conv2d(3, 8, 3, 1, 1), nn.ReLU(), layer, nn.ReLU(), layer, nn.ReLU())


def _two_names():
    net = Chain(
        lambda self, x: self.last(self.first(x).relu()),
        first=nn.Conv2d(3, 8, 3, 1, 1), second=nn.Conv2d(8, 8, 3, 1, 1),
    )  # fmt: skip
    net.last = net.second
    return net


def _own(kind, padding):
    return kind(5, 3, (32, 32), AdaptivePolyphase2d, GlobalAverageHead, padding=padding)


NETWORKS = {
    **{name: (lambda way=way: network(nn.Conv2d(3, 8, 3, 1, 1), PadsByFunction(way)), ["0", "1"])
       for name, way in FUNCTIONS.items()},
    "a convolution at two places": (lambda: _shared(nn.Conv2d(8, 8, 3, 1, 1)), ["0", "2"]),
    "a subclass at two places": (lambda: _shared(Standardised(8, 8, 3, 1, 1)), ["0", "2"]),
    "pooling at two places": (lambda: _shared(nn.MaxPool2d(3, 2, 1)), ["0", "2"]),
    "a block at two places": (
        lambda: _shared(PadsByFunction(FUNCTIONS["F.pad"])), ["0", "2"]),
    "a module under two names": (_two_names, ["first", "second"]),
    "shiftbench's VGG": (lambda: _own(VGG, "zeros"), None),
    "shiftbench's VGG, reflect": (lambda: _own(VGG, "reflect"), None),
    "shiftbench's ResNet": (lambda: _own(ResNet, "zeros"), None),
}  # fmt: skip


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_shift_by_the_total_stride_keeps_the_logits(kind):
    make, expected = NETWORKS[kind]
    torch.manual_seed(0)
    net, x = make().double().eval(), images((3, 32, 32)).double()
    changed, names = circular(net, (3, 32, 32))
    assert moved(changed, x, 16) < 1e-9
    assert moved(net, x, 16) > 1e-5
    assert expected is None or names == expected
    assert list(changed.state_dict()) == list(net.state_dict())
    if expected is not None:
        for name in names:
            one, other = changed.get_submodule(name), net.get_submodule(name)
            assert type(one).__name__.removeprefix("Circular") == type(other).__name__


@pytest.mark.parametrize("kind", [VGG, ResNet])
def test_built_in_networks_on_a_torus_have_equal_answers_at_every_shift(kind):
    torch.manual_seed(0)
    net = kind(5, 3, (16, 16), AdaptivePolyphase2d, GlobalAverageHead, width=4, padding="zeros")
    pixels = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8)
    protocol = Circular(sampling="all")
    exact = {}
    for padding in (None, "circular"):
        result = shiftbench.measure(
            net, pixels, torch.zeros(2, dtype=torch.long), protocol, padding=padding,
            engine="direct", resamples=2,
        )  # fmt: skip
        exact[padding] = result.metrics.set_index("metric").value["exact_fraction"]
        layers = result.predictions.meta.get("made_circular")
        assert (layers is None) == (padding is None)
    assert exact["circular"] == 1 > exact[None]
    assert "" not in layers
    assert set(layers) <= dict(net.named_modules()).keys()
