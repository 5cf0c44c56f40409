"""The s² sampling grids of feature maps: keeping one for each image, or a weighted sum of all."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from shiftbench.ops.padding import pad2d


def whole_cells(x: Tensor, stride: int) -> Tensor:
    """Return ``x: (N, C, H, W)`` padded with zeros to multiples of ``stride``."""
    height, width = x.shape[2:]
    missing = (0, -width % stride, 0, -height % stride)
    return F.pad(x, missing) if any(missing) else x


def keep(x: Tensor, phase: Tensor, stride: int) -> Tensor:
    """Keep one grid of every image.

    ``x: (N, C, H, W) -> (N, C, H/s, W/s)``.

    Args:
        x: Maps whose sides are multiples of ``stride``.
        phase: ``(N,)`` in 0..s² − 1, row-major.
        stride: s.
    """
    size = x.shape[2] // stride, x.shape[3] // stride
    kept: Tensor = _Kept.apply(x, phase // stride, phase % stride, size, stride)
    return kept


def mixture(x: Tensor, weights: Tensor, stride: int) -> Tensor:
    """Return the weighted sum of the grids of every image.

    ``x: (N, C, H, W) -> (N, C, H/s, W/s)``.

    Args:
        x: Maps whose sides are multiples of ``stride``.
        weights: ``(N, s²)``, or ``(N, C, s²)`` for each channel; grids row-major.
        stride: s.
    """
    cells = x.unflatten(3, (-1, stride)).unflatten(2, (-1, stride))
    shares = weights.to(x.dtype).reshape(len(x), -1, 1, stride, 1, stride)
    mixed: Tensor = (cells * shares).sum((3, 5))
    return mixed


def mixture_from_largest(x: Tensor, weights: Tensor, stride: int, pad: str) -> Tensor:
    """Return the weighted sum of the grids, cells beginning at the grid of the largest weight.

    ``x: (N, C, H, W) -> (N, C, H/s, W/s)``. A circular shift of ``x`` permutes its grids and moves
    some of them by a sample, so that other samples of them coincide. A sum over cells that begin
    at a grid that moves with the content always adds the same samples.

    Args:
        x: Maps whose sides are multiples of ``stride``.
        weights: ``(N, s²)``, grids row-major.
        stride: s.
        pad: What the last cells take from beyond the border: ``zeros``, ``circular``, ``reflect``.
    """
    largest = weights.argmax(1)
    rows, columns = largest // stride, largest % stride
    padded = pad2d(x, (0, stride - 1, 0, stride - 1), pad)
    moved = _Kept.apply(padded, rows, columns, (x.shape[2], x.shape[3]), 1)
    steps = torch.arange(stride, device=x.device)
    down, right = ((first[:, None] + steps) % stride for first in (rows, columns))
    grids = (down[:, :, None] * stride + right[:, None]).flatten(1)
    return mixture(moved, weights.gather(1, grids), stride)


class _Kept(torch.autograd.Function):
    """Select every s-th pixel from a first one on, gathering and scattering rows of ``C`` numbers.

    The backward pass that autograd derives for indexing accumulates gradients, although no pixel is
    selected twice, and takes four to eight times as long.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, first_row: Tensor, first_column: Tensor, size: tuple[int, int],
        stride: int,
    ) -> Tensor:  # fmt: skip
        batch, channels, height, width = x.shape
        image = torch.arange(batch, device=x.device)[:, None, None]
        row, column = (
            torch.arange(0, count * stride, stride, device=x.device) + first[:, None]
            for count, first in zip(size, (first_row, first_column), strict=True)
        )
        pixels = ((image * height + row[:, :, None]) * width + column[:, None, :]).flatten()
        ctx.save_for_backward(pixels)
        ctx.shape = x.shape
        picked = x.permute(0, 2, 3, 1).reshape(-1, channels).index_select(0, pixels)
        return picked.view(batch, *size, channels).permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None, None]:
        [gradient], [pixels] = gradients, ctx.saved_tensors
        batch, channels, height, width = ctx.shape
        spread = gradient.new_zeros(batch * height * width, channels)
        spread.index_copy_(0, pixels, gradient.permute(0, 2, 3, 1).reshape(-1, channels))
        whole = spread.view(batch, height, width, channels).permute(0, 3, 1, 2)
        return whole, None, None, None, None
