"""Layers used twice, optional arguments, lazy layers and normalised weights keep their logits."""

import pytest
import torch
import torch.nn.functional as F
from altered import (
    ONE_TAP,
    SHAPE,
    Chain,
    EverySth2d,
    conv,
    difference,
    head,
    images,
    network,
    with_statistics,
)
from torch import nn

from shiftbench import pool as pools
from shiftbench.surgery import circular, replace_downsampling


def _shared(layer):
    return network(conv(3), nn.ReLU(), layer, nn.ReLU(), layer, nn.ReLU(), conv())


def _two_names():
    net = Chain(lambda self, x: self.last(self.first(x).relu()), first=conv(3), second=conv(8, 2))
    net.last = net.second
    return net


def _one_weight():
    net = network(conv(3), conv(8, 2), nn.ReLU(), conv(8, 2), nn.ReLU())
    net[3].weight = net[1].weight
    return net


def _two_strides(self, x):
    x = F.conv2d(self.a(x).relu(), self.b.weight, self.b.bias, padding=1)
    return self.b(x).relu()


def _reused_relu(self, x):
    return self.relu(self.b(self.relu(self.a(x))))


SHARED = {
    "a convolution": (lambda: _shared(conv(8, 2)), ["2"]),
    "pooling": (lambda: _shared(nn.MaxPool2d(3, 2, 1)), ["2"]),
    "a block": (
        lambda: _shared(nn.Sequential(conv(8, 2), nn.BatchNorm2d(8), nn.ReLU())), ["2.0"]),
    "a module under two names": (_two_names, ["second"]),
    "a weight": (_one_weight, ["1", "3"]),
    "a weight at two strides": (lambda: Chain(_two_strides, a=conv(3), b=conv(8, 2)), ["b"]),
    "an activation": (
        lambda: Chain(_reused_relu, a=conv(3, 2), b=conv(8, 2), relu=nn.ReLU()), ["a", "b"]),
}  # fmt: skip


@pytest.mark.parametrize("kind", SHARED)
@pytest.mark.parametrize("pool", [ONE_TAP, EverySth2d])
def test_a_layer_used_twice_is_replaced_in_both_places(kind, pool):
    make, names = SHARED[kind]
    torch.manual_seed(0)
    net, x = with_statistics(make()), images(SHAPE)
    changed, done = replace_downsampling(net, pool, stem=True, image_shape=SHAPE)
    assert [site.name for site in done.sites] == names
    assert difference(changed(x), net(x)) < 1e-4
    assert list(changed.state_dict()) == list(net.state_dict()) or kind == "pooling"
    assert all(
        not isinstance(module, nn.Conv2d | nn.MaxPool2d) or module.stride in (1, (1, 1))
        for name, module in changed.named_modules(remove_duplicate=False) if "pool" not in name
    )  # fmt: skip


def test_one_convolution_in_two_places_shares_no_grid():
    torch.manual_seed(0)
    net, x = _shared(conv(8, 2)), images(SHAPE)
    changed, _ = replace_downsampling(net, pools.AdaptivePolyphase2d, image_shape=SHAPE)
    changed, _ = circular(changed, SHAPE)
    for shift in ((1, 0), (2, 1), (3, 5)):
        assert difference(changed(x.roll(shift, (2, 3))), changed(x)) < 1e-4


class Optional(nn.Module):
    """A network that is usually run without its other arguments."""

    def __init__(self):
        super().__init__()
        self.a, self.b = conv(3), conv(8, 2)
        self.head = nn.Sequential(*head(8))

    def forward(self, x, extra=None, scale=None, *, features=False):
        x = F.relu(self.b(F.relu(self.a(x))))
        x = x * (1.0 if scale is None else scale)
        if extra is not None:
            x = x + extra
        return (x, self.head(x)) if features else self.head(x)


class Gained(nn.Module):
    """A strided block with an optional skip."""

    def __init__(self):
        super().__init__()
        self.conv = conv(8, 2)

    def forward(self, x, skip=None, gain=1.0):
        x = F.relu(self.conv(x)) * gain
        return x if skip is None else x + skip


def _skips(self, x):
    x = self.a(x)
    return self.d(self.c(x, skip=self.b(x), gain=2.0))


def _called_both_ways(self, x):
    x = self.a(x)
    return self.b(x, self.b(x))


ARGUMENTS = {
    "left out": Optional,
    "given to some": lambda: Chain(_skips, a=conv(3), b=Gained(), c=Gained(), d=Gained()),
    "given at one of two calls": lambda: Chain(_called_both_ways, a=conv(3), b=Gained()),
}


@pytest.mark.parametrize("kind", ARGUMENTS)
@pytest.mark.parametrize("pool", [ONE_TAP, EverySth2d])
def test_optional_arguments_are_kept(kind, pool):
    torch.manual_seed(0)
    net, x = ARGUMENTS[kind]().eval(), images(SHAPE)
    changed, done = replace_downsampling(net, pool, image_shape=SHAPE)
    assert len(done.sites) == {"left out": 1, "given to some": 3}.get(kind, 1)
    assert difference(changed(x), net(x)) < 1e-4


@pytest.mark.parametrize("act", [circular, lambda n: replace_downsampling(n, ONE_TAP, stem=True)])
def test_a_lazy_network_is_copied_and_stays_lazy(act):
    net = nn.Sequential(
        nn.LazyConv2d(8, 3, 2, padding=1), nn.LazyBatchNorm2d(), nn.ReLU(),
        nn.LazyConv2d(8, 3, 2, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LazyLinear(5),
    )  # fmt: skip
    changed, _ = act(net)
    assert changed(images(SHAPE)).shape == (2, 5)
    assert not any(isinstance(p, nn.UninitializedParameter) for p in changed.parameters())
    assert all(isinstance(p, nn.UninitializedParameter) for p in net.parameters())


norms = nn.utils.parametrizations
NORMED = {
    "utils.weight_norm": nn.utils.weight_norm, "utils.spectral_norm": nn.utils.spectral_norm,
    "weight_norm": norms.weight_norm, "spectral_norm": norms.spectral_norm,
    "orthogonal": norms.orthogonal,
}  # fmt: skip


@pytest.mark.parametrize("kind", NORMED)
@pytest.mark.parametrize("pool", [ONE_TAP, EverySth2d])
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_normalised_weights_stay_normalised(kind, pool):
    torch.manual_seed(0)
    net = network(conv(3), nn.ReLU(), NORMED[kind](conv(8, 2)), nn.ReLU()).train()
    net(images(SHAPE)).sum().backward()  # what a training leaves in the modules
    net.eval()
    changed, done = replace_downsampling(net, pool, image_shape=SHAPE)
    assert [site.name for site in done.sites] == ["2"]
    assert difference(changed(images(SHAPE)), net(images(SHAPE))) < 1e-4
    assert list(changed.state_dict()) == list(net.state_dict())
    changed.train()(images(SHAPE)).sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in changed[2].parameters())
