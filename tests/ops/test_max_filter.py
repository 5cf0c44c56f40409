"""The fast running maximum, against torch's own of a padded copy."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from shiftbench.errors import UsageError
from shiftbench.ops.max_filter import StrideOneMax2d, running_max
from shiftbench.ops.padding import MODES, pad2d

sizes = st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(2, 6), st.integers(2, 6))
TYPES = [torch.float32, torch.float64, torch.bfloat16]


def channels_last(x):
    return x.contiguous(memory_format=torch.channels_last).requires_grad_()


def plainly(x, padding):
    return F.max_pool2d(pad2d(x, (0, 1, 0, 1), padding), 2, 1)


def test_stride_one_max_commutes_with_circular_shifts():
    x, layer = channels_last(torch.randn(2, 2, 6, 6)), StrideOneMax2d("circular")
    assert torch.equal(layer(x.roll((1, 3), (2, 3))), layer(x).roll((1, 3), (2, 3)))


@settings(deadline=None, max_examples=200)
@given(
    size=sizes,
    padding=st.sampled_from(MODES),
    dtype=st.sampled_from(TYPES),
    lowest=st.sampled_from([-20, 0]),
    levels=st.integers(1, 40),
    seed=st.integers(0, 99),
)
def test_it_is_the_maximum_and_the_first_of_equal_values_gets_the_gradient(
    size, padding, dtype, lowest, levels, seed
):
    draw = torch.Generator().manual_seed(seed)
    x = channels_last(torch.randint(lowest, lowest + levels, size, generator=draw).to(dtype))
    pull = torch.randint(-8, 8, size, generator=draw).to(dtype)
    fast, plain = running_max(x, padding), plainly(x, padding)
    assert torch.equal(fast, plain)
    # sums of whole numbers below 256 are exact in bfloat16, in whatever order
    [mine], [theirs] = torch.autograd.grad(fast, x, pull), torch.autograd.grad(plain, x, pull)
    assert torch.equal(mine, theirs)


@pytest.mark.parametrize("padding", MODES)
def test_gradients_add_up_to_a_rounding_of_bfloat16(padding):
    torch.manual_seed(0)
    x = channels_last(torch.rand(4, 8, 9, 9).bfloat16())
    fast, plain = running_max(x, padding), plainly(x.float(), padding)
    pull = torch.randn_like(fast)
    [mine] = torch.autograd.grad(fast, x, pull)
    [exact] = torch.autograd.grad(plain, x, pull.float())
    three_roundings = 3 * 2**-8 * float(pull.abs().max())
    assert torch.allclose(mine.float(), exact.float(), rtol=0, atol=three_roundings)


def test_what_follows_it_finds_the_memory_channels_last():
    x = channels_last(torch.rand(2, 4, 6, 6).bfloat16())
    assert running_max(x, "circular").is_contiguous(memory_format=torch.channels_last)
    running_max(x, "circular").sum().backward()
    assert x.grad.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("odd", [-0.0, -1.0, float("nan"), float("inf")])
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("place", [(2, 2), (4, 4)], ids=["inside", "corner"])
def test_unusual_numbers_come_out_as_they_do_from_torch(odd, dtype, place):
    x = torch.rand(1, 3, 5, 5).to(dtype)
    x[0, 1][place] = odd
    for padding in MODES:
        fast, plain = running_max(channels_last(x), padding), plainly(x, padding)
        assert torch.equal(fast.isnan(), plain.isnan())
        assert torch.equal(fast.nan_to_num(), plain.nan_to_num())


@pytest.mark.parametrize("padding", ["zeros", "circular"])
def test_maps_of_one_pixel(padding):
    x = channels_last(torch.tensor([-1.0, 2.0]).view(1, 2, 1, 1))
    assert torch.equal(running_max(x, padding), plainly(x, padding))
    running_max(x, padding).sum().backward()
    assert x.grad.flatten().tolist() == [0.0 if padding == "zeros" else 1.0, 1.0]


def test_a_map_of_one_pixel_has_nothing_to_reflect():
    with pytest.raises(UsageError, match="larger map, got 1×1"):
        running_max(channels_last(torch.zeros(1, 2, 1, 1)), "reflect")


def test_no_images_give_no_maxima():
    assert running_max(torch.zeros(0, 3, 4, 4), "circular").shape == (0, 3, 4, 4)


@pytest.mark.parametrize("dtype", TYPES)
def test_other_memory_takes_the_plain_way(dtype):
    x = torch.randn(2, 3, 6, 6).to(dtype).requires_grad_()
    fast, plain = running_max(x, "circular"), plainly(x, "circular")
    pull = torch.randn_like(plain)
    assert torch.equal(fast, plain)
    [mine], [theirs] = torch.autograd.grad(fast, x, pull), torch.autograd.grad(plain, x, pull)
    assert torch.equal(mine, theirs)
