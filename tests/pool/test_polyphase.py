"""Grids kept and mixed, against indexing."""

import pytest
import torch

from shiftbench.pool.polyphase import keep, mixture, whole_cells


def grids(x, stride):
    """The grids ``(N, s², C, H/s, W/s)``, row-major."""
    places = [(i, j) for i in range(stride) for j in range(stride)]
    return torch.stack([x[:, :, i::stride, j::stride] for i, j in places], 1)


def maps(stride, layout=torch.contiguous_format):
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(5, 4, 2 * stride, 3 * stride, generator=draw, dtype=torch.float64)
    return x.contiguous(memory_format=layout).requires_grad_()


@pytest.mark.parametrize("stride", [2, 3])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize("by_channel", [False, True])
def test_a_mixture_is_the_weighted_sum_of_the_grids(stride, layout, by_channel):
    x = maps(stride, layout)
    weights = torch.rand(5, *([4] if by_channel else []), stride**2, dtype=torch.float64)
    weights.requires_grad_()
    shares = weights if by_channel else weights[:, None]
    expected = (grids(x, stride) * shares.transpose(1, 2)[..., None, None]).sum(1)
    mixed = mixture(x, weights, stride)
    torch.testing.assert_close(mixed, expected)
    pull = torch.randn_like(expected)
    gradients = (torch.autograd.grad(out, (x, weights), pull) for out in (mixed, expected))
    for own, other in zip(*gradients, strict=True):
        torch.testing.assert_close(own, other)


@pytest.mark.parametrize("stride", [2, 3])
def test_a_mixture_of_one_grid_is_that_grid(stride):
    x, phase = maps(stride), torch.arange(5) % stride**2
    weights = torch.eye(stride**2, dtype=torch.float64)[phase]
    assert torch.equal(mixture(x, weights, stride), keep(x, phase, stride))


@pytest.mark.parametrize(("size", "whole"), [((7, 5), (8, 6)), ((4, 6), (4, 6)), ((1, 2), (2, 2))])
def test_incomplete_cells_are_completed_with_zeros_at_the_end(size, whole):
    x = torch.randn(1, 1, *size)
    completed = whole_cells(x, 2)
    assert completed.shape[2:] == whole
    assert torch.equal(completed[:, :, : size[0], : size[1]], x)
    assert completed.count_nonzero() == x.count_nonzero()
