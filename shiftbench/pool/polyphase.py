"""The s² sampling grids of feature maps: keeping one for each image, or a weighted sum of all."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


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
    kept: Tensor = _Kept.apply(x, phase, stride)
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


class _Kept(torch.autograd.Function):
    """Select one grid per image, gathering and scattering pixels as rows of ``C`` numbers.

    The backward pass that autograd derives for indexing accumulates gradients, although no pixel is
    selected twice, and takes four to eight times as long.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, phase: Tensor, stride: int) -> Tensor:
        batch, channels, height, width = x.shape
        rows = _pixels(phase, (height, width), stride)
        ctx.save_for_backward(rows)
        ctx.shape = x.shape
        picked = x.permute(0, 2, 3, 1).reshape(-1, channels).index_select(0, rows)
        return picked.view(batch, height // stride, width // stride, channels).permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        [gradient], [rows] = gradients, ctx.saved_tensors
        batch, channels, height, width = ctx.shape
        pixels = gradient.new_zeros(batch * height * width, channels)
        pixels.index_copy_(0, rows, gradient.permute(0, 2, 3, 1).reshape(-1, channels))
        return pixels.view(batch, height, width, channels).permute(0, 3, 1, 2), None, None


def _pixels(phase: Tensor, size: tuple[int, int], stride: int) -> Tensor:
    """Return the indices of the grids' pixels in the batch, flattened to (image, row, column)."""
    height, width = size
    image = torch.arange(len(phase), device=phase.device)[:, None, None]
    row = torch.arange(0, height, stride, device=phase.device) + (phase // stride)[:, None]
    column = torch.arange(0, width, stride, device=phase.device) + (phase % stride)[:, None]
    return ((image * height + row[:, :, None]) * width + column[:, None, :]).flatten()
