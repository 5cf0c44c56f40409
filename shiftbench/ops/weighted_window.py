"""Windows summed with weights that differ at every position, as shifted multiply-adds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor


def weighted_sum(x: Tensor, weights: Tensor, stride: int) -> Tensor:
    """Sum every ``stride``-th k×k window of ``x`` with its own weights.

    Each of the k² pixels of the windows is one multiply-add of whole maps, so that no window is
    copied.

    Args:
        x: ``(N, C, H, W)``, padded.
        weights: ``(N, g, k², h, w)``: one set for each of ``g`` groups of ``C / g`` adjacent
            channels, pixels row-major; h = (H − k) // stride + 1.
        stride: Pixels between windows.

    Returns:
        ``(N, C, h, w)``.
    """
    summed: Tensor = _WeightedSum.apply(x, weights, stride)
    return summed


class _WeightedSum(torch.autograd.Function):
    """Autograd's own backward would fill a map with zeros for each pixel of the window."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weights: Tensor, stride: int) -> Tensor:
        ctx.save_for_backward(x, weights)
        ctx.stride = stride
        total = None
        for pixels, weight in _pixels(x, weights, stride):
            total = pixels * weight if total is None else total.addcmul_(pixels, weight)
        assert total is not None
        return total.flatten(1, 2)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        [gradient], (x, weights) = gradients, ctx.saved_tensors
        gradient = gradient.unflatten(1, (weights.shape[1], -1))
        of_x, of_weights = torch.zeros_like(x), torch.empty_like(weights)
        places = _pixels(of_x, of_weights, ctx.stride)
        for (pixels, weight), (target, share) in zip(
            _pixels(x, weights, ctx.stride), places, strict=True
        ):
            target.addcmul_(gradient, weight)
            share.copy_((gradient * pixels).sum(2, keepdim=True))
        return of_x, of_weights, None


def _pixels(x: Tensor, weights: Tensor, stride: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield a pixel of every window ``(N, g, C/g, h, w)`` and its weight ``(N, g, 1, h, w)``."""
    groups, count, height, width = weights.shape[1:]
    side = round(count**0.5)
    for number in range(count):
        row, column = divmod(number, side)
        rows = slice(row, row + stride * (height - 1) + 1, stride)
        columns = slice(column, column + stride * (width - 1) + 1, stride)
        pixels = x[:, :, rows, columns].unflatten(1, (groups, -1))
        yield pixels, weights[:, :, number].unsqueeze(2)
