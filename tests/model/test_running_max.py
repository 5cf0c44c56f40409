"""The fast running maximum, against torch's own."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from shiftbench.model.running_max import StrideOneMax2d, _ranks_as_integers, running_max

sizes = st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(2, 6), st.integers(2, 6))


def channels_last(x):
    return x.contiguous(memory_format=torch.channels_last).requires_grad_()


def test_stride_one_max_commutes_with_circular_shifts():
    x, layer = torch.randn(1, 2, 6, 6), StrideOneMax2d("circular")
    assert torch.equal(layer(x.roll((1, 3), (2, 3))), layer(x).roll((1, 3), (2, 3)))


@settings(deadline=None, max_examples=80)
@given(size=sizes, levels=st.integers(1, 40), seed=st.integers(0, 99))
def test_in_bfloat16_it_is_the_maximum_and_the_first_of_equal_values_gets_the_gradient(
    size, levels, seed
):
    draw = torch.Generator().manual_seed(seed)
    x = channels_last(torch.randint(0, levels, size, generator=draw).bfloat16())
    assert _ranks_as_integers(x)
    pull = torch.randint(-8, 8, F.max_pool2d(x, 2, 1).shape, generator=draw).bfloat16()
    fast, plain = running_max(x), F.max_pool2d(x, 2, 1)
    assert torch.equal(fast, plain)
    # sums of four small whole numbers are exact in bfloat16, in whatever order
    [mine], [theirs] = torch.autograd.grad(fast, x, pull), torch.autograd.grad(plain, x, pull)
    assert torch.equal(mine, theirs)


def test_gradients_add_up_to_a_rounding_of_bfloat16():
    torch.manual_seed(0)
    x = channels_last(torch.rand(4, 8, 9, 9).bfloat16())
    fast, plain = running_max(x), F.max_pool2d(x.float(), 2, 1)
    pull = torch.randn_like(fast)
    [mine] = torch.autograd.grad(fast, x, pull)
    [exact] = torch.autograd.grad(plain, x, pull.float())
    three_roundings = 3 * 2**-8 * float(pull.abs().max())
    assert torch.allclose(mine.float(), exact.float(), rtol=0, atol=three_roundings)


def test_what_follows_it_finds_the_memory_channels_last():
    x = channels_last(torch.rand(2, 4, 6, 6).bfloat16())
    assert running_max(x).is_contiguous(memory_format=torch.channels_last)
    running_max(x).sum().backward()
    assert x.grad.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("odd", [-0.0, -1.0, float("nan"), float("inf")])
def test_unusual_numbers_come_out_as_they_do_from_torch(odd):
    x = torch.rand(1, 3, 5, 5).bfloat16()
    x[0, 1, 2, 2] = odd
    x = channels_last(x)
    assert torch.equal(running_max(x).isnan(), F.max_pool2d(x, 2, 1).isnan())
    assert torch.equal(running_max(x).nan_to_num(), F.max_pool2d(x, 2, 1).nan_to_num())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_other_memory_and_other_numbers_take_the_plain_way(dtype):
    x = torch.randn(2, 3, 6, 6).to(dtype).requires_grad_()
    assert not _ranks_as_integers(x)
    assert torch.equal(running_max(x), F.max_pool2d(x, 2, 1))
