"""Windows at every position: every s-th of them is the strided layer's own."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from shiftbench.surgery.borders import CircularAvgPool2d, CircularMaxPool2d
from shiftbench.surgery.layers import Aligned2d, OneGrid, StrideOnePool2d, UnstridedConv2d
from shiftbench.surgery.unstrided import cells_fit, unstrided

KINDS = st.sampled_from([nn.MaxPool2d, nn.AvgPool2d])


@st.composite
def poolings(draw):
    kernel, stride = draw(st.integers(1, 4)), draw(st.integers(2, 4))
    border, ceil_mode = draw(st.integers(0, kernel // 2)), draw(st.booleans())
    return draw(KINDS)(kernel, stride, border, ceil_mode=ceil_mode)


@settings(max_examples=60, deadline=None)
@given(poolings(), st.integers(5, 12), st.integers(5, 12))
def test_every_sth_window_is_the_layers_own(pool, height, width):
    # Means over windows that hang over the edge by ceil_mode are taken over other numbers.
    assume(isinstance(pool, nn.MaxPool2d) or not pool.ceil_mode)
    x = torch.randn(1, 2, height, width, generator=torch.Generator().manual_seed(height))
    stride = pool.stride
    windows = StrideOnePool2d(pool, "zeros")(x)
    assert windows.isfinite().all()
    torch.testing.assert_close(windows[:, :, ::stride, ::stride], pool(x))


@settings(max_examples=60, deadline=None)
@given(poolings(), st.integers(6, 13), st.integers(6, 13))
def test_the_aligned_part_has_as_many_cells_as_the_layer_has_windows(pool, height, width):
    assume(cells_fit(pool))
    x, stride = torch.randn(1, 2, height, width), pool.stride
    assert Aligned2d(pool)(x)[:, :, ::stride, ::stride].shape == pool(x).shape


@pytest.mark.parametrize("kernel", [2, 3])
@pytest.mark.parametrize("kind", [CircularMaxPool2d, CircularAvgPool2d])
def test_on_a_torus_windows_are_as_many_as_pixels(kind, kernel):
    plain = nn.MaxPool2d if kind is CircularMaxPool2d else nn.AvgPool2d
    pool = kind(plain(kernel, 2, kernel // 3))
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
    x, stride = torch.randn(1, 3, *size), conv.stride[0]
    dense = unstrided(conv, "zeros")
    torch.testing.assert_close(dense(x)[:, :, ::stride, ::stride], conv(x))
    assert dense.weight is conv.weight


def test_patches_on_a_torus_move_with_the_picture():
    conv = unstrided(nn.Conv2d(3, 4, 4, 4), "circular")
    assert isinstance(conv, UnstridedConv2d)
    x = torch.randn(1, 3, 8, 8)
    assert conv(x).shape == (1, 4, 8, 8)
    torch.testing.assert_close(conv(x.roll(3, 2)), conv(x).roll(3, 2))


class StrideDependent(nn.Conv2d):
    """A convolution whose border nobody can guess."""

    def forward(self, x):
        border = self.stride[0] // 2
        return F.conv2d(F.pad(x, (border, 1, border, 1)), self.weight, self.bias, self.stride)


def test_a_border_that_is_not_understood_is_left_alone():
    assert unstrided(StrideDependent(3, 4, 3, 2), "zeros") is None


class Picked(nn.Module):
    """Keeps the sample that it is told, by default the one that the map names."""

    def phase(self, x):
        return x[:, 0, 0, 0].long()

    def forward(self, x, phase=None):
        return x + (self.phase(x) if phase is None else phase)[:, None, None, None]


def test_the_first_pool_picks_the_grid_of_all():
    maps = torch.full((2, 1, 1, 1), 3.0), torch.full((2, 1, 1, 1), 5.0)
    first, second = OneGrid([Picked(), Picked()])(*maps)
    assert first.flatten().tolist() == [6, 6]
    assert second.flatten().tolist() == [8, 8]
