"""Padding as a choice of the network."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from shiftbench.errors import UsageError
from shiftbench.ops import padding
from shiftbench.ops.padding import Conv2d, pad2d


@given(st.integers(1, 5), st.tuples(*[st.integers(0, 12)] * 4))
def test_circular_padding_repeats_the_map(size, amounts):
    x = torch.arange(size * size, dtype=torch.float32).view(1, 1, size, size)
    left, right, top, bottom = amounts
    rows = torch.arange(-top, size + bottom) % size
    columns = torch.arange(-left, size + right) % size
    assert torch.equal(pad2d(x, amounts, "circular"), x[:, :, rows][:, :, :, columns])


@pytest.mark.parametrize("mode", ["circular", "reflect", "zeros"])
def test_padding_is_torchs(mode):
    x = torch.randn(2, 3, 6, 5)
    expected = F.pad(x, (1, 2, 3, 0), mode="constant" if mode == "zeros" else mode)
    assert torch.equal(pad2d(x, (1, 2, 3, 0), mode), expected)


def test_reflect_says_why_a_small_map_cannot_be_padded():
    with pytest.raises(UsageError, match=r"reflect padding of 2 px needs a larger map, got 2×2"):
        pad2d(torch.zeros(1, 1, 2, 2), (2, 2, 2, 2), "reflect")


@pytest.mark.parametrize("mode", ["circular", "reflect", "zeros"])
@pytest.mark.parametrize("stride", [1, 2])
def test_convolution_has_the_numbers_of_torchs(mode, stride):
    torch.manual_seed(0)
    ours = Conv2d(3, 4, 3, stride=stride, padding=1, padding_mode=mode)
    torchs = nn.Conv2d(3, 4, 3, stride=stride, padding=1, padding_mode=mode)
    torchs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(ours(x), torchs(x))


def test_circular_convolution_commutes_with_circular_shifts():
    torch.manual_seed(0)
    conv = Conv2d(3, 4, 3, padding=1, padding_mode="circular")
    x = torch.randn(2, 3, 8, 8)
    for shift in [(1, 0), (3, 5), (-2, 7)]:
        torch.testing.assert_close(
            conv(x.roll(shift, (2, 3))), conv(x).roll(shift, (2, 3)), rtol=0, atol=1e-5
        )


@given(st.tuples(*[st.integers(0, 3)] * 4), st.booleans())
def test_the_padding_of_gpus_is_that_of_cpus(amounts, channels_last):
    torch.manual_seed(0)
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    x = x.contiguous(memory_format=torch.channels_last) if channels_last else x
    left, right, top, bottom = amounts
    weights = torch.randn(2, 3, top + 4 + bottom, left + 5 + right, dtype=torch.float64)
    padded, gradients = [], []
    for function in (padding._Wrap, padding._WrapByIndex):
        own = x.clone(memory_format=torch.preserve_format).requires_grad_()
        padded.append(function.apply(own, amounts))
        (padded[-1] * weights).sum().backward()
        gradients.append(own.grad)
    assert torch.equal(*padded)
    assert padded[0].stride() == padded[1].stride()
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-14)
