"""A 3×3 convolution on the torus that copies no map: the fast path of circular training.

Padding a map to wrap its border copies all of it, which on a CPU costs as much as the convolution.
Only the border's outputs need the wrapped pixels, though. So the convolution runs with zeros
around the map, and what the four border strips of the output lack is added: one small convolution
for each. The same products in another order of summation, so equal up to rounding.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

_backward = torch.ops.aten.convolution_backward
_FIRST, _LAST = slice(None, 1), slice(-1, None)


def applies(x: Tensor, weight: Tensor, stride: tuple[int, ...], groups: int) -> bool:
    """Whether :func:`conv3x3` computes this convolution, and faster than a padded copy."""
    square = stride in ((1, 1), (2, 2))
    return x.device.type == "cpu" and square and groups == 1 and min(x.shape[2:]) >= 3


def conv3x3(x: Tensor, weight: Tensor, stride: int) -> Tensor:
    """Convolve on the torus: ``(N, C, H, W), (O, C, 3, 3) -> (N, O, ceil(H/s), ceil(W/s))``.

    Under autocast the convolution runs in autocast's type, as ``F.conv2d`` would.
    """
    if torch.is_autocast_enabled("cpu"):
        dtype = torch.get_autocast_dtype("cpu")
        x, weight = x.to(dtype), weight.to(dtype)
    with torch.autocast("cpu", enabled=False):
        y: Tensor = _Conv3x3.apply(x, weight, stride)
    return y


@dataclass(frozen=True)
class _Strip:
    """A border of the output that needs pixels from the opposite side.

    Attributes:
        rows: True for the first or last row of the output, False for a column.
        output: Which one.
        source: Which row (column) of the input it lacks, on the opposite side.
        taps: Which row (column) of the 3×3 kernel meets it.
    """

    rows: bool
    output: slice
    source: slice
    taps: slice

    @property
    def padding(self) -> tuple[int, int]:
        # Rows take the corners with them, so columns must not.
        return (0, 0) if self.rows else (1, 0)

    def stride(self, stride: int) -> tuple[int, int]:
        """Return the stride along the strip; across there is one row (column) only."""
        return (1, stride) if self.rows else (stride, 1)

    def of(self, x: Tensor, part: slice) -> Tensor:
        """Return the view of the row (column) ``part``."""
        return x[:, :, part] if self.rows else x[:, :, :, part]

    def wrapped(self, x: Tensor) -> Tensor:
        """Return the input that the strip lacks, a row with its own ends around it."""
        strip = self.of(x, self.source)
        if not self.rows:
            return strip
        return torch.cat([strip[..., _LAST], strip, strip[..., _FIRST]], dim=3)

    def add_unwrapped(self, gradient: Tensor, strip: Tensor) -> None:
        """Add a gradient of :meth:`wrapped` to that of the whole input."""
        target = self.of(gradient, self.source)
        if not self.rows:
            target += strip
            return
        target += strip[..., 1:-1]
        target[..., _LAST] += strip[..., _FIRST]
        target[..., _FIRST] += strip[..., _LAST]


def _strips(size: torch.Size, out: torch.Size, stride: int) -> Iterator[_Strip]:
    """Yield the borders of the output that reach over the edge of the input."""
    for rows, axis in ((True, 2), (False, 3)):
        yield _Strip(rows, output=_FIRST, source=_LAST, taps=_FIRST)
        if (out[axis] - 1) * stride + 1 >= size[axis]:
            yield _Strip(rows, output=_LAST, source=_FIRST, taps=_LAST)


class _Conv3x3(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride = stride
        y = F.conv2d(x, weight, stride=stride, padding=1)
        for strip in _strips(x.shape, y.shape, stride):
            taps = strip.of(weight, strip.taps)
            lacking = F.conv2d(
                strip.wrapped(x), taps, stride=strip.stride(stride), padding=strip.padding
            )
            strip.of(y, strip.output).add_(lacking)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        [gradient] = gradients
        x, weight = ctx.saved_tensors
        stride, wanted = ctx.stride, [*ctx.needs_input_grad[:2], False]

        def back(
            part: Tensor, source: Tensor, taps: Tensor, steps: tuple[int, int], pad: tuple[int, int]
        ) -> tuple[Tensor | None, Tensor | None]:
            to_x, to_weight, _ = _backward(
                part, source, taps, None, steps, pad, (1, 1), False, (0, 0), 1, wanted
            )
            return to_x, to_weight

        to_x, to_weight = back(gradient, x, weight, (stride, stride), (1, 1))
        for strip in _strips(x.shape, gradient.shape, stride):
            part = strip.of(gradient, strip.output)
            taps = strip.of(weight, strip.taps)
            source = strip.wrapped(x)
            strip_x, strip_taps = back(part, source, taps, strip.stride(stride), strip.padding)
            if to_x is not None and strip_x is not None:
                strip.add_unwrapped(to_x, strip_x)
            if to_weight is not None and strip_taps is not None:
                strip.of(to_weight, strip.taps).add_(strip_taps)
        return to_x, to_weight, None
