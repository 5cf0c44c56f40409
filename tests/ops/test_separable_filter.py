"""Filters as matrices, against a padded copy and a depthwise convolution."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from shiftbench.errors import UsageError
from shiftbench.ops import separable_filter
from shiftbench.ops.filter_taps import binomial
from shiftbench.ops.padding import MODES, pad2d
from shiftbench.pool import AdaptivePolyphase2d, BlurPool2d

small = st.tuples(st.integers(7, 10), st.integers(7, 10))


def channels_last(x):
    return x.contiguous(memory_format=torch.channels_last).requires_grad_()


def plainly(x, line, stride, pad):
    """Pad ``x``, and filter every channel."""
    before, after = (len(line) - 1) // 2, len(line) // 2
    padded = pad2d(x, (before, after, before, after), pad)
    axis = torch.tensor(line, dtype=x.dtype)
    kernel = torch.outer(axis, axis).expand(x.shape[1], 1, -1, -1)
    return F.conv2d(padded, kernel, stride=stride, groups=x.shape[1])


@settings(deadline=None, max_examples=100)
@given(
    size=small,
    line=st.lists(st.integers(-9, 9), min_size=1, max_size=7),
    stride=st.integers(1, 3),
    pad=st.sampled_from(MODES),
    layout=st.sampled_from([torch.contiguous_format, torch.channels_last]),
)
def test_it_is_the_depthwise_convolution_and_so_is_its_gradient(size, line, stride, pad, layout):
    draw = torch.Generator().manual_seed(0)
    x = torch.randint(-9, 9, (2, 3, *size), generator=draw).double()
    x = x.contiguous(memory_format=layout).requires_grad_()
    fast = separable_filter.filter2d(x, tuple(map(float, line)), stride, pad)
    plain = plainly(x, line, stride, pad)
    assert torch.equal(fast, plain)  # whole numbers: no sum is rounded
    pull = torch.randint(-9, 9, plain.shape, generator=draw).double()
    [mine], [theirs] = torch.autograd.grad(fast, x, pull), torch.autograd.grad(plain, x, pull)
    assert torch.equal(mine, theirs)


# A filter's taps are at most 1 together: errors are parts of the largest number that comes in.
# In bfloat16 each axis rounds once, 2⁻⁹ of a number; the convolution in float32 once.
@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 1e-6), (torch.bfloat16, 3 * 2**-9)])
@pytest.mark.parametrize("filter_size", [1, 2, 3, 5, 7])
@pytest.mark.parametrize("pad", MODES)
def test_training_blurs_within_a_rounding_of_measuring(dtype, bound, filter_size, pad):
    torch.manual_seed(0)
    x = channels_last(torch.randn(4, 8, 16, 16).to(dtype))
    pool = BlurPool2d(8, filter_size=filter_size, pad=pad)
    assert separable_filter.pays(x, pool.taps)
    trained, measured = pool.train()(x), pool.eval()(x)
    pull = torch.randn_like(measured)
    assert trained.dtype == measured.dtype == dtype
    [mine], [theirs] = (torch.autograd.grad(y, x, pull) for y in (trained, measured))
    for one, other, largest in ((trained, measured, x), (mine, theirs, pull)):
        most = bound * float(largest.detach().abs().max())
        assert torch.allclose(one.float(), other.float(), rtol=0, atol=most)


def test_measuring_goes_by_plain_convolutions_and_rounds_once():
    torch.manual_seed(0)
    x, pool = channels_last(torch.randn(8, 4, 8, 8).bfloat16()), BlurPool2d(4, padding="circular")
    once = plainly(x.float(), pool.taps, 2, "circular").bfloat16()
    trained = pool(x)
    with torch.no_grad():
        assert torch.equal(pool(x), once)
    assert torch.equal(pool.eval()(x), once)
    assert not torch.equal(trained, once)  # it rounds twice: the two ways differ in their bits


def test_under_autocast_it_computes_in_that_type_both_ways():
    x = channels_last(torch.randn(2, 4, 8, 8))
    with torch.autocast("cpu", torch.bfloat16):
        y = BlurPool2d(4)(x)
        low = BlurPool2d(4)(x.bfloat16())
    assert y.dtype == torch.bfloat16
    assert torch.equal(y, low)
    y.sum().backward()
    assert x.grad.dtype == torch.float32


def test_memory_stays_channels_last_both_ways():
    x = channels_last(torch.randn(2, 8, 8, 8))
    y = BlurPool2d(8)(x)
    assert y.is_contiguous(memory_format=torch.channels_last)
    y.sum().backward()
    assert x.grad.is_contiguous(memory_format=torch.channels_last)


def test_two_trainings_have_the_same_bits():
    def gradient():
        torch.manual_seed(0)
        x = channels_last(torch.randn(64, 16, 16, 16))
        pools = torch.nn.Sequential(BlurPool2d(16), AdaptivePolyphase2d(16, filter_size=3))
        pools(x).square().sum().backward()
        return x.grad

    assert torch.equal(gradient(), gradient())


def test_large_maps_and_maps_shorter_than_the_filter_take_the_plain_way():
    largest = separable_filter.PAYS_TO
    assert separable_filter.pays(torch.zeros(1, 1, largest, largest), binomial(3))
    assert not separable_filter.pays(torch.zeros(1, 1, largest, largest + 1), binomial(3))
    assert not separable_filter.pays(torch.zeros(1, 1, 2, 8), binomial(3))
    assert not separable_filter.pays(torch.zeros(1, 2, 8, 8), binomial(3))  # channels first
    assert not separable_filter.pays(torch.zeros(1, 1, 8, 8).double(), binomial(3))


def test_a_map_too_small_to_reflect_is_still_refused():
    with pytest.raises(UsageError, match="got 2×2"):
        BlurPool2d(3, filter_size=7)(channels_last(torch.zeros(1, 3, 2, 2)))
