"""Padding as one setting of the whole network: ``zeros``, ``circular``, ``reflect`` or ``full``.

Zero padding lets a network read absolute position off the border (Kayhan & van Gemert,
arXiv 2003.07064); only circular padding makes a convolution commute with circular shifts. With full
padding (sec. 5 of the same paper), a convolution pads zeros so far that every position of its
kernel that touches the map has an output, and feature maps grow.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import islice
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shiftbench.errors import UsageError
from shiftbench.ops import fourier_conv

MODES = ("zeros", "circular", "reflect")  # of borders that keep the size
FULL = "full"


def pad2d(x: Tensor, amounts: tuple[int, int, int, int], mode: str) -> Tensor:
    """Pad the last two axes of ``x`` by ``amounts`` = (left, right, top, bottom) pixels.

    ``x: (N, C, H, W) -> (N, C, top + H + bottom, left + W + right)``. Circular padding may be
    wider than the map (the map repeats).

    Raises:
        UsageError: If ``reflect`` requires more pixels than the map has beside its edge.
    """
    if not any(amounts):
        return x
    left, right, top, bottom = amounts
    if mode == "circular":
        if max(left, right) > x.shape[3] or max(top, bottom) > x.shape[2]:
            return _repeat(_repeat(x, 3, left, right), 2, top, bottom)
        # A GPU is bound by the number of kernels, a CPU by what they read.
        function = _WrapByIndex if x.is_cuda else _Wrap
        wrapped: Tensor = function.apply(x, amounts)
        return wrapped
    if mode == "reflect":
        check_reflect(x, amounts)
        return F.pad(x, amounts, mode="reflect")
    return F.pad(x, amounts)


def wrap_amounts(size: int, padding: int, reach: int, stride: int, kept: int) -> tuple[int, int]:
    """Return the circular padding (before, after) of an axis for a window that pads it.

    On a torus a window of stride s has one position for every s pixels. If a layer leaves as many,
    the part of its window beyond the last pixel wraps around, however the layer divides its border
    (even kernels with ``padding="same"``, ``ceil_mode``); otherwise its border keeps its width on
    both sides.

    Args:
        size: Pixels of the axis.
        padding: Padding of the layer, at each side.
        reach: Pixels from a window's first to its last, ``dilation · (kernel − 1)``.
        stride: Stride of the layer.
        kept: Positions that the layer leaves.

    >>> wrap_amounts(32, padding=1, reach=2, stride=1, kept=32)
    (1, 1)
    >>> wrap_amounts(32, padding=0, reach=2, stride=2, kept=16)  # a 3×3 maximum with ceil_mode
    (0, 2)
    """
    needed = max(0, (kept - 1) * stride + reach + 1 - size - padding)
    if not padding and not needed:
        return 0, 0
    if kept == -(-size // stride):
        return padding, max(needed, reach - padding)
    return padding, max(needed, padding)


def _repeat(x: Tensor, axis: int, before: int, after: int) -> Tensor:
    size = x.shape[axis]
    index = torch.arange(-before, size + after, device=x.device) % size
    return x.index_select(axis, index)


class _Wrap(torch.autograd.Function):
    """Circular padding by at most the size of the map, in one copy forward and one backward.

    Autograd's own backward through nested slices takes six times as long: each slice's gradient is
    a map of zeros with one strip, and all of them are added.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, amounts: tuple[int, int, int, int]) -> Tensor:
        ctx.amounts = amounts
        left, right, top, bottom = amounts
        batch, channels, height, width = x.shape
        last = x.is_contiguous(memory_format=torch.channels_last)
        padded = torch.empty(
            (batch, channels, top + height + bottom, left + width + right),
            dtype=x.dtype, device=x.device,
            memory_format=torch.channels_last if last else torch.contiguous_format,
        )  # fmt: skip
        for target, source in _pieces(padded, x, amounts):
            target.copy_(source)
        return padded

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        left, right, top, bottom = ctx.amounts
        [padded] = gradients
        height, width = padded.shape[2] - top - bottom, padded.shape[3] - left - right
        inside = padded[:, :, top : top + height, left : left + width]
        gradient = inside.clone(memory_format=torch.preserve_format)
        for source, target in islice(_pieces(padded, gradient, ctx.amounts), 1, None):
            target.add_(source)
        return gradient, None


class _WrapByIndex(torch.autograd.Function):
    """Circular padding by at most the size of the map, in one kernel forward and six backward.

    The backward pass adds the strips of one axis, then those of the other, without atomics: the
    same gradient in every call.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, amounts: tuple[int, int, int, int]) -> Tensor:
        ctx.amounts = amounts
        left, right, top, bottom = amounts
        batch, channels, height, width = x.shape
        size = top + height + bottom, left + width + right
        index = _wrapped_positions(height, width, amounts, x.device)
        if x.is_contiguous(memory_format=torch.channels_last):
            pixels = x.permute(0, 2, 3, 1).reshape(batch, height * width, channels)
            padded = pixels.index_select(1, index).reshape(batch, *size, channels)
            return padded.permute(0, 3, 1, 2)
        maps = x.reshape(batch * channels, height * width)
        return maps.index_select(1, index).reshape(batch, channels, *size)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        left, right, top, bottom = ctx.amounts
        [padded] = gradients
        rows = _unwrapped(padded, 2, top, bottom)
        return _unwrapped(rows, 3, left, right), None


def _unwrapped(padded: Tensor, axis: int, before: int, after: int) -> Tensor:
    """Return the gradient of one axis before it was wrapped."""
    if not before and not after:
        return padded
    size = padded.shape[axis] - before - after
    gradient = padded.narrow(axis, before, size).clone(memory_format=torch.preserve_format)
    if before:
        gradient.narrow(axis, size - before, before).add_(padded.narrow(axis, 0, before))
    if after:
        gradient.narrow(axis, 0, after).add_(padded.narrow(axis, before + size, after))
    return gradient


@cache
def _wrapped_positions(
    height: int, width: int, amounts: tuple[int, int, int, int], device: torch.device
) -> Tensor:
    """Return the pixel of the map ``(H·W)`` behind every pixel of the padded map.

    Kept for the life of the process: a CUDA graph reads it at its address.
    """
    left, right, top, bottom = amounts
    rows = torch.arange(-top, height + bottom, device=device) % height
    columns = torch.arange(-left, width + right, device=device) % width
    return (rows[:, None] * width + columns).flatten()


def _pieces(
    padded: Tensor, x: Tensor, amounts: tuple[int, int, int, int]
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the inside, four sides and four corners of ``padded``, each with its part of ``x``."""
    left, right, top, bottom = amounts
    for rows, their_rows in _spans(x.shape[2], top, bottom):
        for columns, their_columns in _spans(x.shape[3], left, right):
            yield padded[:, :, rows, columns], x[:, :, their_rows, their_columns]


def _spans(size: int, before: int, after: int) -> Iterator[tuple[slice, slice]]:
    """Yield the three parts of a padded axis, each with its origin."""
    yield slice(before, before + size), slice(0, size)
    if before:
        yield slice(0, before), slice(size - before, size)
    if after:
        yield slice(before + size, None), slice(0, after)


def check_reflect(x: Tensor, amounts: tuple[int, int, int, int]) -> None:
    """Refuse to reflect more pixels than ``x: (N, C, H, W)`` has beside its edge.

    Raises:
        UsageError: If one of ``amounts`` = (left, right, top, bottom) is too many.
    """
    height, width = x.shape[-2:]
    if max(amounts[:2]) >= width or max(amounts[2:]) >= height:
        raise UsageError(
            f"reflect padding of {max(amounts)} px needs a larger map, got {height}×{width}; "
            "use padding=circular, a smaller pool.filter_size or fewer model.downsamplings"
        )


class TorusPool(nn.Module):
    """What pooling layers whose border wraps around have in common.

    Attributes:
        torus_padding: Pixels (rows, columns) of that border; ``padding`` is 0.
    """

    torus_padding: tuple[int, int]


class Conv2d(nn.Conv2d):
    """``nn.Conv2d`` whose ``padding_mode`` goes through :func:`pad2d`.

    ``x: (N, in_channels, H, W) -> (N, out_channels, ceil(H/s), ceil(W/s))`` for an odd kernel
    with ``padding = kernel_size // 2``. Same parameters and results as ``nn.Conv2d``; in training
    up to rounding, since small circular maps are convolved in the frequency domain there.
    """

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if self.padding_mode == "zeros" or isinstance(self.padding, str):
            plain: Tensor = super()._conv_forward(input, weight, bias)
            return plain
        if self._trains_on_a_torus() and fourier_conv.pays(input, weight):
            return fourier_conv.conv2d(input, weight)
        padded = pad2d(input, self._amounts(input), self.padding_mode)
        return F.conv2d(padded, weight, bias, self.stride, 0, self.dilation, self.groups)

    def _amounts(self, x: Tensor) -> tuple[int, int, int, int]:
        """Return the border of a map: (left, right, top, bottom) pixels."""
        if self.padding_mode != "circular":
            rows, columns = (int(self.padding[axis]) for axis in (0, 1))
            return columns, columns, rows, rows
        (top, bottom), (left, right) = (self._wraps(x.shape[2 + axis], axis) for axis in (0, 1))
        return left, right, top, bottom

    def _wraps(self, size: int, axis: int) -> tuple[int, int]:
        padding, stride = int(self.padding[axis]), self.stride[axis]
        reach = self.dilation[axis] * (self.kernel_size[axis] - 1)
        kept = (size + 2 * padding - reach - 1) // stride + 1
        return wrap_amounts(size, padding, reach, stride, kept)

    def __copy__(self) -> Conv2d:
        """Return a shallow copy; parametrised convolutions refuse the default copy."""
        shallow = type(self).__new__(type(self))
        shallow.__dict__.update(self.__dict__)
        return shallow

    def _trains_on_a_torus(self) -> bool:
        """Whether it is a plain circular convolution in training that keeps the size."""
        half = tuple(taps // 2 for taps in self.kernel_size)
        keeps_size = self.padding == half and all(taps % 2 for taps in self.kernel_size)
        return (
            self.training and torch.is_grad_enabled() and self.padding_mode == "circular"
            and keeps_size and self.stride == self.dilation == (1, 1)
            and self.groups == 1 and self.bias is None
        )  # fmt: skip


def conv2d(in_chans: int, out_chans: int, kernel_size: int, stride: int, padding: str) -> Conv2d:
    """Return a bias-free convolution that keeps the size but for its stride and full padding."""
    return Conv2d(
        in_chans,
        out_chans,
        kernel_size,
        stride=stride,
        padding=kernel_size - 1 if padding == FULL else kernel_size // 2,
        padding_mode=of_layer(padding),  # type: ignore[arg-type]
        bias=False,
    )


def of_layer(padding: str) -> str:
    """Return what a layer pads with in a network of this padding."""
    return "zeros" if padding == FULL else padding
