"""Optimised layers, compared with plain implementations of the same operations."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from shiftbench.ops.padding import pad2d
from shiftbench.pool.aps import AdaptivePolyphase2d
from shiftbench.pool.blur import BlurPool2d

LAYOUTS = [torch.contiguous_format, torch.channels_last]


def padded_by_index(x, amounts):
    """Circular padding by indexing."""
    left, right, top, bottom = amounts
    rows = torch.arange(-top, x.shape[2] + bottom) % x.shape[2]
    columns = torch.arange(-left, x.shape[3] + right) % x.shape[3]
    return x[:, :, rows][:, :, :, columns]


@settings(deadline=None, max_examples=60)
@given(
    size=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    amounts=st.tuples(*[st.integers(0, 8)] * 4),
    layout=st.sampled_from(LAYOUTS),
)
def test_circular_padding_is_a_lookup_and_so_is_its_gradient(size, amounts, layout):
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, *size, generator=draw, dtype=torch.float64).contiguous(
        memory_format=layout
    )
    x.requires_grad_()
    fast, plain = pad2d(x, amounts, "circular"), padded_by_index(x, amounts)
    assert torch.equal(fast, plain)
    pull = torch.randn(plain.shape, generator=draw, dtype=torch.float64)
    [mine], [theirs] = torch.autograd.grad(fast, x, pull), torch.autograd.grad(plain, x, pull)
    assert torch.allclose(mine, theirs, rtol=0, atol=1e-12)


def test_circular_padding_keeps_the_memory_layout_both_ways():
    x = torch.randn(2, 8, 6, 6).contiguous(memory_format=torch.channels_last).requires_grad_()
    y = pad2d(x, (1, 1, 1, 1), "circular")
    assert y.is_contiguous(memory_format=torch.channels_last)
    y.sum().backward()
    assert x.grad.is_contiguous(memory_format=torch.channels_last)


def grid_by_index(x, phase, stride):
    """Grid ``phase`` of every image, computed image by image."""
    rows, columns = phase // stride, phase % stride
    return torch.stack([
        image[:, int(i) :: stride, int(j) :: stride]
        for image, i, j in zip(x, rows, columns, strict=True)
    ])  # fmt: skip


@pytest.mark.parametrize("stride", [2, 3])
@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_aps_keeps_the_grid_that_it_picks_and_its_gradient(stride, layout):
    torch.manual_seed(0)
    x = torch.randn(9, 4, 2 * stride, 4 * stride).contiguous(memory_format=layout)
    x.requires_grad_()
    pool = AdaptivePolyphase2d(4, stride=stride)
    phase = pool.phase(x)
    assert len(set(phase.tolist())) > 1
    fast, plain = pool(x), grid_by_index(x, phase, stride)
    assert torch.equal(fast, plain)
    pull = torch.randn_like(plain)
    assert torch.equal(
        torch.autograd.grad(fast, x, pull)[0], torch.autograd.grad(plain, x, pull)[0]
    )


@pytest.mark.parametrize("norm", [1.0, 2.0, 3.0])
def test_aps_picks_the_grid_with_the_largest_norm(norm):
    torch.manual_seed(0)
    x = torch.randn(16, 3, 8, 8)
    grids = [x[:, :, i::2, j::2].flatten(1) for i in (0, 1) for j in (0, 1)]
    norms = torch.stack([torch.linalg.vector_norm(grid, norm, dim=1) for grid in grids], dim=1)
    assert torch.equal(AdaptivePolyphase2d(3, norm=norm).phase(x), norms.argmax(1))


def test_aps_ranks_in_single_precision_what_comes_in_bfloat16():
    torch.manual_seed(0)
    x = torch.rand(64, 16, 16, 16).bfloat16()
    pool = AdaptivePolyphase2d(16)
    assert torch.equal(pool.phase(x), pool.phase(x.float()))
    assert torch.equal(pool(x).float(), pool(x.float()))


@pytest.mark.parametrize("filter_size", [2, 3, 5])
@pytest.mark.parametrize("pad", ["circular", "reflect", "zeros"])
def test_blur_under_autocast_is_the_single_precision_blur_rounded_once(filter_size, pad):
    torch.manual_seed(0)
    x = torch.randn(2, 6, 8, 8)
    pool = BlurPool2d(6, filter_size=filter_size, pad=pad).eval()
    with torch.autocast("cpu", torch.bfloat16):
        low = pool(x.bfloat16())
    assert low.dtype == torch.bfloat16
    assert torch.equal(low, pool(x.bfloat16().float()).bfloat16())


def test_blur_keeps_double_precision():
    x = torch.randn(1, 2, 6, 6, dtype=torch.float64)
    pool = BlurPool2d(2, pad="zeros")
    kernel = pool.kernel.double().expand(2, 1, -1, -1)
    expected = F.conv2d(x, kernel, stride=2, padding=1, groups=2)
    assert torch.allclose(pool(x), expected, rtol=0, atol=1e-12)
