"""The stride-1 maximum of max-blur pooling, and a faster way to it on a CPU."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shiftbench.ops.padding import check_reflect, pad2d

# A map in memory, read along one of its axes: lines, pixels of a line, numbers of a pixel.
Lines = tuple[int, int, int]

# Which pixel of a line comes after its last one; behind a border of zeros there is none.
_BEYOND = {"circular": 0, "reflect": -2, "zeros": None}


class StrideOneMax2d(nn.Module):
    """2×2 maximum at stride 1, the dense half of max pooling (Zhang, arXiv 1904.11486, eq. 2).

    ``x: (N, C, H, W) -> (N, C, H, W)``, padded by one pixel at the right and the bottom.
    Commutes with circular shifts where ``padding`` is circular.
    """

    def __init__(self, padding: str) -> None:
        super().__init__()
        self.padding = padding

    def forward(self, x: Tensor) -> Tensor:
        """Return the running maximum."""
        return running_max(x, self.padding)


def running_max(x: Tensor, padding: str) -> Tensor:
    """Return the maximum of every pixel, the one to its right, the one below and the one between.

    ``x: (N, C, H, W) -> (N, C, H, W)``. Channels-last maps on a CPU take a way without a padded
    copy, with the same numbers forward; backward, sums of gradients are rounded in another order.

    Args:
        x: The maps.
        padding: What lies beyond the edge: ``zeros``, ``circular`` or ``reflect``.

    Raises:
        UsageError: If ``reflect`` is asked of a map of one pixel.
    """
    if x.device.type == "cpu" and x.is_contiguous(memory_format=torch.channels_last):
        fast: Tensor = _RunningMax.apply(x, padding)
        return fast
    return F.max_pool2d(pad2d(x, (0, 1, 0, 1), padding), kernel_size=2, stride=1)


class _RunningMax(torch.autograd.Function):
    """Two maxima of the memory with itself, moved: first along the rows, then down the columns.

    In channels-last memory one pixel to the right is C numbers further, one down W·C. The way back
    goes to the first of equal values, as in ``max_pool2d``, whose indices take eight bytes for
    every number.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, padding: str) -> Tensor:
        if padding == "reflect":
            check_reflect(x, (0, 1, 0, 1))
        rows, columns = _both_axes(x)
        ranks = _ranks(x)
        across = _larger(ranks, rows, padding)
        largest = _larger(across, columns, padding)
        ctx.save_for_backward(x, across.view(x.dtype))
        ctx.padding = padding
        return _maps(largest.view(x.dtype), x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        x, across = ctx.saved_tensors
        rows, columns = _both_axes(x)
        pulled = _shared(across, _memory(gradients[0]), columns, ctx.padding)
        return _maps(_shared(_memory(x), pulled, rows, ctx.padding), x), None


def _larger(values: Tensor, lines: Lines, padding: str) -> Tensor:
    """Return the larger of every pixel and the next one of its line."""
    step = lines[2]
    larger = torch.empty_like(values)
    torch.maximum(values[:-step], values[step:], out=larger[:-step])
    last, beyond = _edge(values.view(lines), padding)
    torch.maximum(last, beyond, out=larger.view(lines)[:, -1])
    return larger


def _shared(values: Tensor, gradient: Tensor, lines: Lines, padding: str) -> Tensor:
    """Give each maximum's ``gradient`` to the larger of a pixel and the next one of its line."""
    step = lines[2]
    moves = torch.empty_like(values)  # 1 where the next one is larger, else 0
    torch.gt(values[step:], values[:-step], out=moves[:-step])
    last, beyond = _edge(values.view(lines), padding)
    over_the_edge = moves.view(lines)[:, -1]
    torch.gt(beyond, last, out=over_the_edge)
    shared = torch.addcmul(gradient, moves, gradient, value=-1)
    if (next_one := _BEYOND[padding]) is not None:
        shared.view(lines)[:, next_one].addcmul_(over_the_edge, gradient.view(lines)[:, -1])
    over_the_edge.zero_()
    shared[step:].addcmul_(moves[:-step], gradient[:-step])
    return shared


def _edge(pixels: Tensor, padding: str) -> tuple[Tensor, Tensor]:
    """Return the last pixel of every line and what comes after it."""
    last, next_one = pixels[:, -1], _BEYOND[padding]
    return last, last.new_zeros(()) if next_one is None else pixels[:, next_one]


def _ranks(x: Tensor) -> Tensor:
    """Return the memory of ``x``, if it can be as integers, which compare four times as fast.

    The bits of bfloat16 numbers of which none is below 0, as after a ReLU, are in their order,
    infinity and NaN at the end.
    """
    memory = _memory(x)
    if x.dtype != torch.bfloat16:
        return memory
    bits = memory.view(torch.int16)
    return bits if bits.numel() and bool(bits.amin() >= 0) else memory


def _both_axes(x: Tensor) -> tuple[Lines, Lines]:
    """Return the lines of the rows of ``x`` and those of its columns."""
    images, channels, height, width = x.shape
    return (images * height, width, channels), (images, height, width * channels)


def _memory(x: Tensor) -> Tensor:
    """Return a map as one row of numbers, channels first to change."""
    return x.permute(0, 2, 3, 1).reshape(-1)


def _maps(memory: Tensor, like: Tensor) -> Tensor:
    images, channels, height, width = like.shape
    return memory.view(images, height, width, channels).permute(0, 3, 1, 2)
