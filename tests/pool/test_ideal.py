"""The ideal low-pass filter: frequencies that it keeps and removes, and shiftability."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shiftbench.errors import UsageError
from shiftbench.pool import IdealPool2d
from shiftbench.shift.subpixel import fourier_shift

SIDES = st.integers(1, 9)


def pool(stride=2):
    return IdealPool2d(3, stride, padding="circular")


def maps(height, width, count=2):
    draw = torch.Generator().manual_seed(height * 100 + width)
    return torch.randn(count, 3, height, width, generator=draw)


def wave(side, frequency, samples):
    """A cosine along both axes, ``frequency`` periods per feature map, ``samples``² points."""
    line = torch.cos(2 * math.pi * frequency * torch.arange(samples) / samples + 0.3)
    return torch.outer(line, line).expand(1, 3, -1, -1)


@pytest.mark.parametrize("frequency", [0, 1, 2, 3])
def test_what_the_smaller_grid_carries_stays(frequency):
    pooled = pool()(wave(16, frequency, 16))
    torch.testing.assert_close(pooled, wave(16, frequency, 8), atol=1e-6, rtol=0)


@pytest.mark.parametrize("frequency", [4, 5, 8])
def test_the_nyquist_frequency_and_what_lies_above_it_goes(frequency):
    assert pool()(wave(16, frequency, 16)).abs().max() < 1e-6


@settings(deadline=None, max_examples=40)
@given(height=SIDES, width=SIDES, stride=st.integers(1, 4))
def test_it_keeps_the_mean_of_maps_of_every_size(height, width, stride):
    x = maps(height, width)
    pooled = pool(stride)(x)
    assert pooled.shape[2:] == (-(-height // stride), -(-width // stride))
    torch.testing.assert_close(pooled.mean((2, 3)), x.mean((2, 3)), atol=1e-5, rtol=0)


@settings(deadline=None, max_examples=40)
@given(
    height=st.integers(2, 12), width=st.integers(2, 12), stride=st.integers(1, 3),
    shift=st.tuples(st.floats(-9, 9), st.floats(-9, 9)),
)  # fmt: skip
def test_it_commutes_with_every_shift_whole_or_not(height, width, stride, shift):
    """Shiftability: subsampling and shifts commute for feature maps of every size."""
    x, move = maps(height, width), torch.tensor([shift, shift])
    pooled = pool(stride)(x)
    scale = torch.tensor([pooled.shape[2] / height, pooled.shape[3] / width])
    moved = pool(stride)(fourier_shift(x, move))
    torch.testing.assert_close(moved, fourier_shift(pooled, move * scale), atol=1e-4, rtol=0)


@settings(deadline=None, max_examples=30)
@given(rows=st.integers(1, 4), columns=st.integers(1, 4), stride=st.integers(2, 3))
def test_all_phases_are_the_pools_of_the_rolled_map(rows, columns, stride):
    x = maps(rows * stride, columns * stride)
    phases = pool(stride).all_phases(x).unflatten(0, (2, stride, stride))
    for py in range(stride):
        for px in range(stride):
            rolled = pool(stride)(x.roll((-py, -px), (2, 3)))
            torch.testing.assert_close(phases[:, py, px], rolled, atol=1e-5, rtol=0)


@pytest.mark.parametrize("padding", ["zeros", "reflect"])
def test_it_refuses_maps_that_do_not_wrap_around(padding):
    with pytest.raises(UsageError, match=f"padding={padding}; add padding=circular"):
        IdealPool2d(3, padding=padding)


def test_it_answers_in_the_type_that_it_is_given():
    assert pool()(maps(8, 8).bfloat16()).dtype == torch.bfloat16
