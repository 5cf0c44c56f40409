"""Training a low-pass filter on small maps as one matrix for each axis.

A depthwise convolution on small maps spends its time on copies: one for the border, and in
bfloat16 one to float32 and back, forward and backward. A matrix pads, filters and subsamples an
axis at once.

Only training goes this way: a trained network is measured by plain convolutions.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from shiftbench.ops.autocast import computed_in
from shiftbench.ops.padding import pad2d

# Up to which height and width it pays, by benchmarks/blur_forms.py: the work for each pixel grows
# with the size of the map.
PAYS_TO = 32


def pays(x: Tensor, taps: tuple[float, ...]) -> bool:
    """Whether training is faster by matrices on maps like ``x: (N, C, H, W)``."""
    sides = x.shape[2:]
    return (
        x.device.type == "cpu"
        and len(taps) <= min(sides)
        and max(sides) <= PAYS_TO
        and x.dtype in (torch.float32, torch.bfloat16)
        and x.is_contiguous(memory_format=torch.channels_last)
    )


def filter2d(x: Tensor, taps: tuple[float, ...], stride: int, pad: str) -> Tensor:
    """Pad, filter both axes with ``taps`` and keep every ``stride``-th sample.

    ``x: (N, C, H, W) -> (N, C, ceil(H/s), ceil(W/s))``. The same numbers as
    :func:`shiftbench.ops.padding.pad2d` by (k-1)//2 pixels before, k//2 after, and a depthwise
    convolution, up to rounding (once for each axis). Under autocast it computes in that type.

    Args:
        x: The maps, neither side shorter than ``taps``.
        taps: The filter of one axis.
        stride: Subsampling factor.
        pad: ``zeros``, ``circular`` or ``reflect``.
    """
    x = x.to(computed_in(x))
    rows, columns = (_matrix(side, taps, stride, pad, x.dtype) for side in x.shape[2:])
    filtered: Tensor = _OnBothAxes.apply(x, rows, columns)
    return filtered


@lru_cache(maxsize=64)
def _matrix(
    size: int, taps: tuple[float, ...], stride: int, pad: str, dtype: torch.dtype
) -> Tensor:
    """Return what filters an axis of ``size`` pixels, ``(ceil(size/s), size)``."""
    half = (len(taps) - 1) // 2, len(taps) // 2
    each_pixel = torch.eye(size, dtype=torch.float64).view(size, 1, 1, size)
    kernel = torch.tensor(taps, dtype=torch.float64).view(1, 1, 1, -1)
    columns = F.conv2d(pad2d(each_pixel, (*half, 0, 0), pad), kernel, stride=(1, stride))
    return columns.view(size, -1).T.contiguous().to(dtype)


class _OnBothAxes(torch.autograd.Function):
    """A matrix for the rows of every image, then one for its columns; backward, transposed."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        ctx.matrices = rows, columns
        with torch.autocast(x.device.type, enabled=False):
            return _to_columns(columns, _to_rows(rows, x.permute(0, 2, 3, 1))).permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        [gradient], (rows, columns) = gradients, ctx.matrices
        with torch.autocast(gradient.device.type, enabled=False):
            pulled = _to_rows(rows.T, _to_columns(columns.T, gradient.permute(0, 2, 3, 1)))
        return pulled.permute(0, 3, 1, 2), None, None


def _to_rows(matrix: Tensor, x: Tensor) -> Tensor:
    """Apply ``matrix: (h, H)`` to the rows of ``x: (N, H, W, C)``, ``-> (N, h, W, C)``."""
    rows: Tensor = torch.matmul(matrix, x.flatten(2)).unflatten(2, x.shape[2:])
    return rows


def _to_columns(matrix: Tensor, x: Tensor) -> Tensor:
    """Apply ``matrix: (w, W)`` to the columns of ``x: (N, H, W, C)``, ``-> (N, H, w, C)``."""
    columns: Tensor = torch.matmul(matrix, x.flatten(0, 1)).unflatten(0, x.shape[:2])
    return columns
