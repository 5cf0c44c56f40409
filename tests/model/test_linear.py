"""The theory's network: affine, and exactly as invariant as its pool and its head make it."""

import pytest
import torch

from shiftbench.api import measure
from shiftbench.errors import UsageError
from shiftbench.head.flatten import FlattenHead
from shiftbench.head.gap import GlobalAverageHead
from shiftbench.model.linear import LinearVGG
from shiftbench.model.vgg import VGG
from shiftbench.pool import (
    AdaptivePolyphase2d,
    AvgPool2d,
    BlurPool2d,
    IdealPool2d,
    MaxPool2d,
    NoPool2d,
    Stride2d,
)
from shiftbench.shift.circular import Circular
from shiftbench.shift.subpixel import Subpixel

SIDE = 32
LINEAR = (IdealPool2d, BlurPool2d, AvgPool2d, Stride2d, NoPool2d)


def network(pool, model=LinearVGG, head=GlobalAverageHead, padding="circular", downsamplings=2):
    torch.manual_seed(3)
    net = model(5, 3, (SIDE, SIDE), pool, head, padding, width=4, downsamplings=downsamplings)
    return net.eval()


def images(count=2):
    return torch.rand(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


def exact_fraction(net, protocol=Circular(sampling="all")):  # noqa: B008
    result = measure(net, images(), [0, 0], protocol, resamples=10)
    return float(result.metrics.set_index("metric").loc["exact_fraction", "value"])


@pytest.mark.parametrize("head", [GlobalAverageHead, FlattenHead])
@pytest.mark.parametrize("pool", LINEAR)
@torch.no_grad()
def test_it_is_affine(pool, head):
    net, (x, y) = network(pool, head=head), images().split(1)
    apart, together = net(x) + net(y), net(x + y) + net(torch.zeros_like(x))
    torch.testing.assert_close(together, apart, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("pool", [MaxPool2d, AdaptivePolyphase2d])
def test_it_refuses_a_pool_that_is_not_linear(pool):
    with pytest.raises(UsageError, match=f"got {pool.__name__}; allowed: pool=ideal"):
        network(pool)


def test_its_convolutions_are_those_of_a_vgg_drawn_for_no_relu():
    """He's factor 2 makes up for the half that a ReLU takes away."""
    vgg = [m.weight for m in network(Stride2d, VGG).modules() if isinstance(m, torch.nn.Conv2d)]
    mine = [m.weight for m in network(Stride2d).modules() if isinstance(m, torch.nn.Conv2d)]
    assert len(vgg) == len(mine)
    for theirs, own in zip(vgg, mine, strict=True):
        torch.testing.assert_close(own * 2**0.5, theirs)


@pytest.mark.parametrize("downsamplings", [1, 3, 5])
@pytest.mark.parametrize("protocol", [Circular(sampling="all"), Subpixel(max_shift=1)], ids=str)
def test_with_the_ideal_pool_and_an_average_every_shift_is_exact(downsamplings, protocol):
    """Azulay & Weiss, sec. 3: shiftable maps and global pooling."""
    assert exact_fraction(network(IdealPool2d, downsamplings=downsamplings), protocol) == 1


@pytest.mark.parametrize("pool", [BlurPool2d, AvgPool2d])
def test_an_average_needs_only_zeros_at_the_frequencies_that_alias_onto_it(pool):
    """Of the aliases, only 0 and the old Nyquist frequency contribute to the mean."""
    assert exact_fraction(network(pool)) == 1


def test_subsampling_alone_leaves_one_in_stride_squared():
    assert exact_fraction(network(Stride2d)) == 1 / 4**2


def test_a_relu_restores_aliasing():
    assert exact_fraction(network(IdealPool2d, VGG)) == 1 / 4**2


@pytest.mark.parametrize("model", [LinearVGG, VGG])
def test_a_fully_connected_head_undoes_it(model):
    assert exact_fraction(network(IdealPool2d, model, FlattenHead)) == 1 / SIDE**2


@torch.no_grad()
def test_the_invariant_linear_network_depends_only_on_the_mean_colour():
    x = images(1)
    flat = x.mean((2, 3), keepdim=True).expand_as(x)
    torch.testing.assert_close(network(IdealPool2d)(x), network(IdealPool2d)(flat))
