"""Windows at every position: every s-th of them is the strided layer's own."""

import copy

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from shiftbench.pool import AdaptivePolyphase2d, Downsampling
from shiftbench.surgery.borders import CircularAvgPool2d, CircularMaxPool2d, circular
from shiftbench.surgery.layers import (
    Aligned2d,
    OneGrid,
    StepsByContent2d,
    StrideOnePool2d,
    cells_fit,
)
from shiftbench.surgery.unstrided import runs_unstrided, unstride

KINDS = st.sampled_from([nn.MaxPool2d, nn.AvgPool2d])


@st.composite
def poolings(draw):
    kernel, stride = draw(st.integers(1, 4)), draw(st.integers(2, 4))
    border, ceil_mode = draw(st.integers(0, kernel // 2)), draw(st.booleans())
    if draw(KINDS) is nn.MaxPool2d:
        return nn.MaxPool2d(kernel, stride, border, draw(st.integers(1, 2)), ceil_mode=ceil_mode)
    included, divisor = draw(st.booleans()), draw(st.sampled_from([None, 5]))
    return nn.AvgPool2d(kernel, stride, border, ceil_mode, included, divisor)


def window(pool):
    """The side of one window in pixels, with the gaps of a dilated maximum."""
    return getattr(pool, "dilation", 1) * (pool.kernel_size - 1) + 1


@settings(max_examples=60, deadline=None)
@given(poolings(), st.integers(5, 12), st.integers(5, 12))
def test_every_sth_window_is_the_layers_own(pool, height, width):
    assume(window(pool) <= min(height, width))
    x = torch.randn(1, 2, height, width, generator=torch.Generator().manual_seed(height))
    stride = pool.stride
    windows = StrideOnePool2d(pool, "zeros")(x)
    assert windows.isfinite().all()
    torch.testing.assert_close(windows[:, :, ::stride, ::stride], pool(x))


@settings(max_examples=60, deadline=None)
@given(poolings(), st.integers(6, 13), st.integers(6, 13))
def test_the_aligned_part_has_as_many_cells_as_the_layer_has_windows(pool, height, width):
    assume(cells_fit(pool) and window(pool) <= min(height, width))
    x, stride = torch.randn(1, 2, height, width), pool.stride
    assert Aligned2d(pool)(x)[:, :, ::stride, ::stride].shape == pool(x).shape


@pytest.mark.parametrize("kind", [nn.MaxPool2d, nn.AvgPool2d])
@pytest.mark.parametrize("kernel", [3, 4])
def test_on_a_torus_windows_are_as_many_as_pixels(kind, kernel):
    [pool] = circular(nn.Sequential(kind(kernel, 2, 1)), (2, 8, 8))[0]
    assert isinstance(pool, CircularMaxPool2d | CircularAvgPool2d)
    x = torch.randn(1, 2, 8, 8)
    windows = StrideOnePool2d(pool, "zeros")
    assert windows(x).shape == x.shape
    torch.testing.assert_close(windows(x)[:, :, ::2, ::2], pool(x))
    torch.testing.assert_close(windows(x.roll((1, 3), (2, 3))), windows(x).roll((1, 3), (2, 3)))


class SameConv2d(nn.Conv2d):
    """A convolution with a border in the manner of TensorFlow."""

    def forward(self, x):
        for axis in (3, 2):
            size, stride = x.shape[axis], self.stride[0]
            kept = -(-size // stride)
            border = max(0, (kept - 1) * stride + self.kernel_size[0] - size)
            amounts = [0, 0, 0, 0]
            amounts[2 * (3 - axis) : 2 * (3 - axis) + 2] = border // 2, border - border // 2
            x = F.pad(x, amounts)
        return F.conv2d(x, self.weight, self.bias, self.stride)


@pytest.mark.parametrize("conv", [
    nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(3, 4, 7, 2, 3), nn.Conv2d(3, 4, 3, 2, 2, dilation=2),
    nn.Conv2d(3, 4, 3, 2), nn.Conv2d(3, 4, 2, 2), nn.Conv2d(3, 4, 4, 4), nn.Conv2d(3, 4, 11, 4, 2),
    SameConv2d(3, 4, 3, 2), SameConv2d(3, 4, 5, 2),
])  # fmt: skip
@pytest.mark.parametrize("size", [(16, 16), (17, 19)])
def test_every_sth_position_is_the_strided_convolution(conv, size):
    x, stride, dense = torch.randn(1, 3, *size), conv.stride[0], copy.deepcopy(conv)
    assert runs_unstrided(conv)
    weight = dense.weight
    unstride(dense)
    torch.testing.assert_close(dense(x)[:, :, ::stride, ::stride], conv(x))
    assert dense.weight is weight
    assert type(dense).__name__ == type(conv).__name__


def test_patches_on_a_torus_move_with_the_image():
    conv = nn.Conv2d(3, 4, 4, 4)
    unstride(conv)
    conv.pad = "circular"
    x = torch.randn(1, 3, 8, 8)
    assert conv(x).shape == (1, 4, 8, 8)
    torch.testing.assert_close(conv(x.roll(3, 2)), conv(x).roll(3, 2))


class CutsItself(nn.Conv2d):
    """A convolution that cuts its output by the stride's own count."""

    def forward(self, x):
        return super().forward(x)[:, :, : x.shape[2] // 2]


class NeedsMore(nn.Conv2d):
    """A convolution that takes two maps."""

    def forward(self, x, other):
        return super().forward(x + other)


@pytest.mark.parametrize("conv", [CutsItself(3, 4, 4, 2, 2), NeedsMore(3, 4, 3, 2)])
def test_an_unknown_border_is_detected(conv):
    assert not runs_unstrided(conv)
    assert conv.stride == (2, 2)


def test_pools_in_sequence_select_among_their_own_grids():
    x = torch.randn(3, 2, 8, 8)
    pools = [AdaptivePolyphase2d(2), AdaptivePolyphase2d(2)]
    both = StepsByContent2d(pools)
    torch.testing.assert_close(both(x), pools[1](pools[0](x)))
    assert both.stride == 4
    phases = both.phase(x)
    for row in range(4):
        for column in range(4):
            shifted = both(x.roll((row, column), (2, 3)))
            torch.testing.assert_close(shifted.sum((2, 3)), both(x).sum((2, 3)))
    # The grid that one of 16 phases keeps: its digits in base 4, the first pool's lowest.
    chosen = both(x, phases)
    torch.testing.assert_close(chosen, pools[1](pools[0](x, phases % 4), phases // 4))


class Weighing(Downsampling):
    """Mixes its grids with weights in proportion to their absolute means."""

    def __init__(self, stride=2):
        super().__init__()
        self.stride = stride

    def grids(self, x):
        places = [(i, j) for i in range(self.stride) for j in range(self.stride)]
        return torch.stack([x[:, :, i :: self.stride, j :: self.stride] for i, j in places], 1)

    def phase(self, x):
        means = self.grids(x).abs().mean((2, 3, 4))
        return means / means.sum(1, keepdim=True)

    def forward(self, x, phase=None):
        weights = self.phase(x) if phase is None else phase
        return (self.grids(x) * weights[:, :, None, None, None]).sum(1)


def test_pools_in_sequence_pass_on_the_weights_of_all():
    x, other = torch.randn(2, 3, 2, 12, 12)
    pools = [Weighing(2), Weighing(3)]
    both = StepsByContent2d(pools)
    torch.testing.assert_close(both(x), pools[1](pools[0](x)))
    weights = both.phase(x)
    assert weights.shape == (3, 4 + 9)
    expected = pools[1](pools[0](other, weights[:, :4]), weights[:, 4:])
    torch.testing.assert_close(both(other, weights), expected)


class Picked(nn.Module):
    """Keeps the sample that it is given, by default the one that the map names."""

    def phase(self, x):
        return x[:, 0, 0, 0].long()

    def forward(self, x, phase=None):
        return x + (self.phase(x) if phase is None else phase)[:, None, None, None]


def test_the_first_pool_selects_the_grid_of_all():
    maps = torch.full((2, 1, 1, 1), 3.0), torch.full((2, 1, 1, 1), 5.0)
    first, second = OneGrid([Picked(), Picked()])(*maps)
    assert first.flatten().tolist() == [6, 6]
    assert second.flatten().tolist() == [8, 8]
