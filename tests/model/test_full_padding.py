"""Full padding (F-Conv): sizes, the guarantee on a background of zeros, and its cost."""

import itertools

import pytest
import torch
from torch import nn

from shiftbench.api import measure
from shiftbench.errors import UsageError
from shiftbench.head.gap import GlobalAverageHead
from shiftbench.head.gmp import GlobalMaxHead
from shiftbench.model.cost import cost
from shiftbench.model.resnet import ResNet
from shiftbench.model.vgg import VGG
from shiftbench.ops.padding import conv2d
from shiftbench.pool import (
    AdaptivePolyphase2d,
    BlurPool2d,
    IdealPool2d,
    MaxPool2d,
    NoPool2d,
    Stride2d,
)

POOLS = [MaxPool2d, BlurPool2d, Stride2d, AdaptivePolyphase2d, NoPool2d]


def network(model, pool, head=GlobalAverageHead, size=16, padding="full", **settings):
    torch.manual_seed(0)
    return model(5, 3, (size, size), pool, head, padding, width=4, **settings).eval()


@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_a_convolution_keeps_every_position_that_touches_the_map(kernel):
    conv = conv2d(2, 3, kernel, 1, "full")
    impulse = torch.zeros(1, 2, 6, 6)
    impulse[0, 0, 0, 0] = 1
    response = conv(impulse)
    assert response.shape[2:] == (5 + kernel, 5 + kernel)
    # the complete kernel, turned, at the corner
    torch.testing.assert_close(response[0, :, :kernel, :kernel], conv.weight[:, 0].flip(1, 2))


@pytest.mark.parametrize("head", [GlobalAverageHead, GlobalMaxHead])
@pytest.mark.parametrize("model", [VGG, ResNet])
@torch.no_grad()
def test_without_subsampling_it_is_invariant_wherever_an_object_lies_on_zeros(model, head):
    """Kayhan & van Gemert 2020: with a global mean or maximum, and without bias."""
    net = network(model, NoPool2d, head, size=8).double()
    generator = torch.Generator().manual_seed(1)
    thing = torch.randn(1, 3, 5, 5, dtype=torch.float64, generator=generator)
    images = torch.zeros(16, 3, 8, 8, dtype=torch.float64)
    for index, (y, x) in enumerate(itertools.product(range(4), repeat=2)):
        images[index, :, y : y + 5, x : x + 5] = thing
    logits = net(images)
    torch.testing.assert_close(logits, logits[:1].expand_as(logits), rtol=1e-12, atol=1e-12)
    zeros = network(model, NoPool2d, head, size=8, padding="zeros").double()(images)
    assert (zeros - zeros[:1]).abs().max() > 1e-3


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("size", [7, 8])
@pytest.mark.parametrize(("model", "settings"), [
    (VGG, {"depth": 10}), (ResNet, {"depth": 20}), (VGG, {"depth": 10, "placement": "before"}),
    (ResNet, {"depth": 20, "placement": "before"}),
])  # fmt: skip
def test_every_pool_trains_a_step_at_every_size(model, settings, pool, size):
    if "placement" in settings and pool in (Stride2d, NoPool2d):
        return  # refused, see test_placement.py
    net = network(model, pool, size=size, **settings).train()
    net(torch.rand(4, 3, size, size)).square().mean().backward()
    assert all(p.grad.isfinite().all() for p in net.parameters())


@pytest.mark.parametrize("pool", [Stride2d, BlurPool2d, AdaptivePolyphase2d])
@torch.no_grad()
def test_the_branches_of_a_block_stay_aligned(pool):
    """A pixel far from the border gives both branches the same place."""
    net = network(ResNet, pool, size=32)
    block = next(b for b in net.blocks if b.pool is not None)
    for conv in (block.conv1, block.conv2):
        nn.init.zeros_(conv.weight)
        conv.weight[:, 0, 1, 1] = 1
    nn.init.zeros_(block.project[0].weight)
    block.project[0].weight[:, 0] = 1
    x = torch.zeros(1, 4, 32, 32)
    x[0, 0, 15, 15] = 1  # on the grid that begins one pixel outside the map
    through = block(x)
    block.conv2.weight.zero_()
    beside = block(x)
    assert through.shape == beside.shape
    assert through[0, 0].argmax() == beside[0, 0].argmax()


def test_it_costs_more():
    """Counted by hand for ResNet-20: maps grow by two pixels with every 3×3 convolution."""
    full, same = (
        cost(ResNet(10, 3, (32, 32), Stride2d, GlobalAverageHead, padding), (3, 32, 32)).macs
        for padding in ("full", "zeros")
    )
    assert full / same == pytest.approx(4.49, abs=0.005)


def test_the_dense_engine_leaves_it_to_the_direct_one():
    images = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    result = measure(network(VGG, MaxPool2d), images, [0, 0], "circular", resamples=10)
    assert result.predictions.meta["engine"] == "direct"


def test_a_pool_that_needs_a_torus_refuses_it():
    with pytest.raises(UsageError, match="needs circular borders, got padding=full"):
        network(VGG, IdealPool2d)
