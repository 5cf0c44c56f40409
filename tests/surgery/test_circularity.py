"""Networks that are not equivariant on a torus are refused, naming the responsible layer."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from altered import Chain, images, moved, network
from torch import nn

import shiftbench
from shiftbench.errors import ShiftbenchError
from shiftbench.surgery import circular

SHAPE = (3, 32, 32)


class Positions(nn.Module):
    """Adds a learned embedding of the position, which is zero at first."""

    def __init__(self, side):
        super().__init__()
        self.table = nn.Parameter(torch.zeros(1, 8, side, side))

    def forward(self, x):
        return x + self.table


class Coordinates(nn.Module):
    """Appends the column of each pixel (CoordConv)."""

    def forward(self, x):
        columns = torch.linspace(-1, 1, x.shape[3]).expand(len(x), 1, *x.shape[2:])
        return torch.cat([x, columns], 1)


class InNumpy(nn.Module):
    """Pads in numpy, where no torch function shows it."""

    def forward(self, x):
        return torch.from_numpy(np.pad(x.numpy(), ((0, 0), (0, 0), (1, 1), (1, 1))))


class Border(torch.autograd.Function):
    """A border in a function of its own."""

    @staticmethod
    def forward(ctx, x):
        out = x.new_zeros(*x.shape[:2], x.shape[2] + 2, x.shape[3] + 2)
        out[:, :, 1:-1, 1:-1] = x
        return out


class DrawsItsBorder(nn.Module):
    def forward(self, x):
        return Border.apply(x)


class Concatenates(nn.Module):
    """Pads rows by concatenation."""

    def forward(self, x):
        row = torch.zeros_like(x[:, :, :1])
        return torch.cat([row, x, row], 2)


class Windows(nn.Module):
    """Mixes the pixels of 5×5 windows that do not overlap, and of part of one at the edge."""

    def __init__(self):
        super().__init__()
        self.mix = nn.Linear(25, 25)

    def forward(self, x):
        height, width = x.shape[2:]
        x = F.pad(x, (0, -width % 5, 0, -height % 5))
        n, c, h, w = x.shape
        x = x.view(n, c, h // 5, 5, w // 5, 5).transpose(3, 4).flatten(4)
        x = self.mix(x).unflatten(4, (5, 5)).transpose(3, 4).reshape(n, c, h, w)
        return x[:, :, :height, :width]


class ZeroedEdge(nn.Module):
    def forward(self, x):
        x = x.clone()
        x[:, :, 0] = 0
        return x


class Recurrent(nn.Module):
    """Reads every row from left to right."""

    def __init__(self):
        super().__init__()
        self.cells = nn.GRU(8, 8, batch_first=True)

    def forward(self, x):
        rows = x.permute(0, 2, 3, 1).flatten(0, 1)
        return self.cells(rows)[0].unflatten(0, (len(x), -1)).permute(0, 3, 1, 2)


def conv(in_channels=8, kernel=3):
    return nn.Conv2d(in_channels, 8, kernel, padding=kernel // 2)


def traced(layer):
    return torch.jit.trace(layer.eval(), torch.zeros(1, 8, 32, 32))


def behind_a_convolution(*layers):
    return network(conv(3), nn.ReLU(), *layers)


REFUSED = {
    "a table of positions": (lambda: behind_a_convolution(Positions(32), conv()), "2 (Positions)"),
    "coordinates": (lambda: behind_a_convolution(Coordinates(), conv(9)), "2 (Coordinates)"),
    "a border in numpy": (
        lambda: behind_a_convolution(InNumpy(), nn.Conv2d(8, 8, 3)), "2 (InNumpy)"),
    "a border in autograd": (
        lambda: behind_a_convolution(DrawsItsBorder(), nn.Conv2d(8, 8, 3)), "2 (DrawsItsBorder)"),
    "rows of zeros": (
        lambda: behind_a_convolution(Concatenates(), nn.Conv2d(8, 8, (3, 1))), "2 (Concatenates)"),
    "windows of a fixed grid": (lambda: behind_a_convolution(Windows()), "2 (Windows)"),
    "an edge set to zero": (lambda: behind_a_convolution(ZeroedEdge(), conv()), "2 (ZeroedEdge)"),
    "rows that are read": (lambda: behind_a_convolution(Recurrent()), "2 (Recurrent)"),
    "TorchScript": (lambda: behind_a_convolution(traced(conv())), "2 (TopLevelTracedModule)"),
    "no border at all": (lambda: behind_a_convolution(nn.Conv2d(8, 8, 3)), "2 (Conv2d)"),
    "a transposed convolution": (
        lambda: behind_a_convolution(nn.ConvTranspose2d(8, 8, 3, padding=1)),
        "2 (ConvTranspose2d)"),
    "bilinear enlargement": (
        lambda: behind_a_convolution(nn.Upsample(scale_factor=2, mode="bilinear")),
        "2 (Upsample)"),
    "a scale for each pixel": (
        lambda: behind_a_convolution(nn.LayerNorm([8, 32, 32])), "2 (LayerNorm)"),
    "pixels of a row mixed": (
        lambda: behind_a_convolution(nn.Linear(32, 32), conv()), "2 (Linear)"),
    "pixels of a row mixed, to one": (
        lambda: behind_a_convolution(nn.Linear(32, 1), conv()), "2 (Linear)"),
    "a map that is not whole, pooled": (
        lambda: behind_a_convolution(nn.CircularPad2d(3), conv(kernel=1)),
        "4 (AdaptiveAvgPool2d)"),
    "cells of unequal size": (
        lambda: behind_a_convolution(nn.AdaptiveAvgPool2d(5), conv(kernel=1), nn.ReLU()),
        "2 (AdaptiveAvgPool2d)"),
    "positions read in the middle": (
        lambda: behind_a_convolution(
            nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(128, 128), nn.Unflatten(1, (8, 4, 4)),
            conv(kernel=1)),
        "4 (Linear)"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.filterwarnings("ignore:.torch.jit")
def test_the_layer_that_does_not_wrap_around_is_named(kind):
    make, layer = REFUSED[kind]
    torch.manual_seed(0)
    net = make().eval()
    with pytest.raises(ShiftbenchError) as refusal:
        circular(net, SHAPE)
    assert f"{layer} does not wrap around" in str(refusal.value)
    with pytest.raises(ShiftbenchError) as same:
        shiftbench.measure(
            net, images(SHAPE), torch.zeros(2, dtype=torch.long), padding="circular", resamples=2
        )
    assert str(same.value) == str(refusal.value)


def _reads_tokens(self, x):
    """Attention without positions, over the pixels of a map."""
    tokens = self.patches(x).flatten(2).transpose(1, 2)
    mixed, _ = self.attention(tokens, tokens, tokens, need_weights=False)
    return mixed.transpose(1, 2).unflatten(2, (8, 8))


GLOBAL = {
    "attention without positions": lambda: Chain(
        _reads_tokens, patches=nn.Conv2d(3, 8, 4, 4),
        attention=nn.MultiheadAttention(8, 2, batch_first=True)),
    "pixels made channels": lambda: network(
        conv(3), nn.PixelUnshuffle(2), nn.ReLU(), nn.Conv2d(32, 8, 3, 2, 1)),
    "nearest enlargement": lambda: behind_a_convolution(nn.Upsample(scale_factor=2), conv()),
    "a norm over the map": lambda: behind_a_convolution(nn.GroupNorm(2, 8), conv()),
    "plain subsampling": lambda: Chain(lambda self, x: self.a(x)[:, :, ::2, ::2], a=conv(3)),
    "squeeze and excitation": lambda: Chain(
        lambda self, x: self.a(x) * self.gate(self.a(x)), a=conv(3),
        gate=nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 8, 1), nn.Sigmoid())),
    "one pixel left": lambda: nn.Sequential(
        conv(3), nn.MaxPool2d(4), nn.ReLU(), nn.MaxPool2d(8), nn.Flatten(), nn.Linear(8, 5)),
    "a constant map beside it": lambda: behind_a_convolution(nn.Dropout(), nn.Identity()),
}  # fmt: skip


@pytest.mark.parametrize("kind", GLOBAL)
def test_position_independent_modules_are_circular(kind):
    torch.manual_seed(0)
    net, x = GLOBAL[kind]().double().eval(), images(SHAPE).double()
    changed, _ = circular(net, SHAPE)
    assert moved(changed, x, 16) < 1e-9


HEADS = {
    "flattened maps": lambda: [nn.MaxPool2d(8), nn.Flatten(), nn.Linear(128, 5)],
    "cells, flattened": lambda: [nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Linear(72, 5)],
    "a convolution of the whole map": lambda: [nn.MaxPool2d(8), nn.Conv2d(8, 5, 4), nn.Flatten()],
    "a convolution of all cells": lambda: [
        nn.AdaptiveAvgPool2d(3), nn.Conv2d(8, 5, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()],
}  # fmt: skip


@pytest.mark.parametrize("kind", HEADS)
def test_a_head_that_depends_on_positions_is_allowed(kind):
    torch.manual_seed(0)
    net, x = nn.Sequential(conv(3), nn.ReLU(), *HEADS[kind]()).eval(), images(SHAPE)
    changed, names = circular(net, SHAPE)
    assert names == ["0"]
    assert moved(changed, x, 16) > 1e-3
    maps = changed[:2]
    torch.testing.assert_close(maps(x.roll(5, 2)), maps(x).roll(5, 2))


@pytest.mark.filterwarnings("ignore:.torch.jit")
def test_the_border_of_a_dead_block_counts():
    # A scale of zero hides the block at first, and no longer when it is trained.
    net = Chain(
        lambda self, x: self.a(x) + self.scale(self.block(self.a(x))), a=conv(3),
        block=traced(conv()), scale=nn.BatchNorm2d(8),
    )  # fmt: skip
    nn.init.zeros_(net.scale.weight)
    with pytest.raises(ShiftbenchError, match=r"block \(TopLevelTracedModule\) does not wrap"):
        circular(net, SHAPE)


def test_a_network_that_rejects_the_images_is_reported_in_one_sentence():
    net = nn.Sequential(conv(3), nn.Flatten(), nn.Linear(8 * 48 * 48, 5))
    with pytest.raises(ShiftbenchError, match=r"does not take images of 3×32×32 .*image_shape"):
        circular(net, SHAPE)
    assert circular(net, (3, 48, 48))[1] == ["0"]
