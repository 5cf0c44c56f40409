"""Windows of convolutions and pooling layers: how many there are, and all of them at stride 1."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shiftbench.ops.padding import pad2d

Pair = tuple[int, int]


def pair(value: object) -> Pair:
    """Return ``(rows, columns)`` of a number or of one or two numbers."""
    if isinstance(value, tuple | list):
        return int(value[0]), int(value[-1])
    return int(value), int(value)  # type: ignore[call-overload]


def pooled_size(
    size: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool
) -> int:
    """Return how many windows a pooling layer puts on ``size`` pixels."""
    free = size + 2 * padding - dilation * (kernel - 1) - 1
    if not ceil_mode:
        return free // stride + 1
    windows = -(-free // stride) + 1
    # As torch does: a window that would start beyond the map and its left border is left out.
    return windows - 1 if (windows - 1) * stride >= size + padding else windows


def border_of(pool: nn.Module) -> Pair:
    """Return the border (rows, columns) of a pooling layer, one that wraps around included."""
    return pair(getattr(pool, "torus_padding", pool.padding))


def windows_of(pool: nn.Module, size: int, axis: int) -> int:
    """Return how many windows a ``MaxPool2d`` or ``AvgPool2d`` puts on ``size`` pixels."""
    return pooled_size(
        size,
        pair(pool.kernel_size)[axis],
        pair(pool.stride)[axis],
        border_of(pool)[axis],
        pair(getattr(pool, "dilation", 1))[axis],
        bool(pool.ceil_mode),
    )


def reaches(
    x: Tensor, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil: bool, wraps: bool
) -> tuple[int, int, int, int]:
    """Return by how much (left, right, top, bottom) a map is padded to hold a window everywhere.

    Every s-th window is then one of the layer's own; on a torus there are s for each of these.
    """
    amounts: list[int] = []
    for axis in (1, 0):
        size, step = x.shape[2 + axis], stride[axis]
        kept = pooled_size(size, kernel[axis], step, padding[axis], dilation[axis], ceil)
        natural = size + 2 * padding[axis] - dilation[axis] * (kernel[axis] - 1)
        wanted = step * kept if wraps else step * (kept - 1) + 1
        amounts += [padding[axis], padding[axis] + max(0, wanted - natural)]
    return amounts[0], amounts[1], amounts[2], amounts[3]


def dense_max(
    x: Tensor,
    kernel_size: object,
    stride: object = None,
    padding: object = 0,
    dilation: object = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    wraps: bool = False,
) -> Tensor:
    """Return the maximum at every position; every s-th is that of ``F.max_pool2d``.

    ``x: (N, C, H, W) -> (N, C, H', W')``; with ``wraps`` the border wraps around.
    """
    kernel, step = pair(kernel_size), pair(stride or kernel_size)
    amounts = reaches(x, kernel, step, pair(padding), pair(dilation), ceil_mode, wraps)
    x = pad2d(x, amounts, "circular") if wraps else F.pad(x, amounts, value=float("-inf"))
    return F.max_pool2d(x, kernel, 1, 0, pair(dilation))


def dense_avg(
    x: Tensor,
    kernel_size: object,
    stride: object = None,
    padding: object = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    wraps: bool = False,
) -> Tensor:
    """Return the mean at every position; every s-th is that of ``F.avg_pool2d``.

    ``x: (N, C, H, W) -> (N, C, H', W')``; with ``wraps`` the border wraps around.
    """
    kernel, step, border = pair(kernel_size), pair(stride or kernel_size), pair(padding)
    amounts = reaches(x, kernel, step, border, (1, 1), ceil_mode, wraps)
    if wraps:
        x = pad2d(x, amounts, "circular")
        return F.avg_pool2d(x, kernel, 1, divisor_override=divisor_override)
    sums = F.avg_pool2d(F.pad(x, amounts), kernel, 1, divisor_override=1)
    if divisor_override is not None:
        return sums / divisor_override
    # A window that hangs over the edge is divided by the pixels in it, those of the layer's own
    # border included where it says so, those that ceil_mode reaches beyond it never.
    counted = x.new_ones(1, 1, *x.shape[2:])
    inner = (border[1], border[1], border[0], border[0])
    counted = F.pad(counted, inner, value=1.0 if count_include_pad else 0.0)
    beyond = (0, amounts[1] - border[1], 0, amounts[3] - border[0])
    counts = F.avg_pool2d(F.pad(counted, beyond), kernel, 1, divisor_override=1)
    # Where no pixel is in a window, every s-th position never is: no division by 0 for the others.
    return sums / counts.clamp(min=1)


def dense_conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: object = 1,
    padding: object = 0,
    dilation: object = 1,
    groups: int = 1,
    size: Pair = (0, 0),
    wraps: bool = False,
) -> Tensor:
    """Return a convolution at every position; every s-th is that of ``F.conv2d``.

    ``x: (N, in_channels, H, W) -> (N, out_channels, H', W')``, s positions for each strided one.

    Args:
        x: The map, which may have a border already.
        weight: As of ``F.conv2d``, like the next five.
        bias: See ``weight``.
        stride: See ``weight``.
        padding: See ``weight``.
        dilation: See ``weight``.
        groups: See ``weight``.
        size: (H, W) of the map without that border.
        wraps: Whether what the last positions need beyond the edge wraps around.
    """
    step, steps = pair(stride), pair(dilation)
    border = (0, 0) if isinstance(padding, str) else pair(padding)
    for axis in (0, 1):
        before, have = border[axis], x.shape[2 + axis] + 2 * border[axis]
        positions = have - steps[axis] * (weight.shape[2 + axis] - 1)
        kept = (positions - 1) // step[axis] + 1
        # A window of one pixel needs nothing beyond the map: behind a pool, it keeps its size.
        missing = step[axis] * kept - positions if weight.shape[2 + axis] > 1 else 0
        x = _extended(x, 2 + axis, (before, before + missing), size[axis], wraps)
    return F.conv2d(x, weight, bias, 1, 0, steps, groups)


def _extended(x: Tensor, axis: int, amounts: Pair, period: int, wraps: bool) -> Tensor:
    if not any(amounts):
        return x
    if wraps:
        index = torch.arange(-amounts[0], x.shape[axis] + amounts[1], device=x.device)
        inside = (index >= 0) & (index < x.shape[axis])
        return x.index_select(axis, torch.where(inside, index, index % period))
    return F.pad(x, (0, 0, *amounts) if axis == 2 else amounts)
