"""Test of tensors for circular shifts in step with the images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from shiftbench.surgery.positions import MOST_PREFIX_TOKENS

# By dtype: relative to the spread (standard deviation) of a feature map, and to its largest value.
# float32 rounds to 1e-7 of the latter, and layers amplify that; a border that does not wrap changes
# the adjacent map by about its spread. Strided and unstrided convolutions sum in different orders,
# which causes rounding of the same size.
TOLERANCE = {torch.float32: (1e-4, 1e-5), torch.float64: (1e-7, 1e-10)}

Size = tuple[int, int]


class Rolling:
    """Compares the outputs for an image and for the same image shifted.

    A batch is the image, the same shifted down, the same shifted to the right, and another image.

    Args:
        size: (H, W) of the images.
        shift: Pixels down and to the right.
    """

    def __init__(self, size: Size, shift: Size) -> None:
        self.size, self.shift = size, shift
        self.maps = {size}  # sizes of feature maps

    def follows(self, output: Tensor) -> bool | None:
        """Return whether an output shifts or stays unchanged, None if unknown."""
        if output.ndim not in (2, 3, 4) or len(output) != 4 or not output.is_floating_point():
            return None
        if self.same(output):
            return True
        found = [self.rolls(as_map) for as_map in self._as_maps(output)]
        known = [one for one in found if one is not None]
        if not known:
            return False if output.ndim == 2 else None
        return any(known)

    def _as_maps(self, output: Tensor) -> Iterator[Tensor]:
        """Yield the maps ``(4, C, h, w)`` that an output may be."""
        for height, width in self.maps:
            count = height * width
            if output.ndim == 4 and output.shape[2:] == (height, width):
                yield output
            if output.ndim == 4 and output.shape[1:3] == (height, width):
                yield output.permute(0, 3, 1, 2)
            if output.ndim == 4 and output.shape[2] == output.shape[3] == count:  # attention
                yield output.unflatten(3, (height, width)).flatten(1, 2)
            if output.ndim == 2 and count > 1 and output.shape[1] % count == 0:
                yield output.unflatten(1, (-1, height, width))
                yield output.unflatten(1, (height, width, -1)).permute(0, 3, 1, 2)
            if output.ndim == 3:
                yield from _tokens(output, height, width)
                yield from _tokens(output.transpose(1, 2), height, width)

    def rolls(self, maps: Tensor) -> bool | None:
        """Return whether maps ``(4, C, h, w)`` roll with the images, None if fractionally."""
        parts = int(maps.shape[2]), int(maps.shape[3])
        amounts = [d * p / s for d, p, s in zip(self.shift, parts, self.size, strict=True)]
        if not divides(self.size, parts) or any(amount % 1 for amount in amounts):
            return None
        rows, columns = (int(amount) for amount in amounts)
        return close(maps[0].roll(rows, 1), maps[1]) and close(maps[0].roll(columns, 2), maps[2])

    def same(self, output: Tensor) -> bool:
        """Return whether an output stays."""
        return close(output[0], output[1]) and close(output[0], output[2])


def divides(size: Size, part: Size) -> bool:
    """Return whether one map's sides are whole multiples of the other's, or the reverse."""
    return all(p and (s % p == 0 or p % s == 0) for s, p in zip(size, part, strict=True))


def close(one: Tensor, other: Tensor) -> bool:
    """Return whether two maps are the same up to rounding."""
    if not one.is_floating_point():
        return bool(torch.equal(one, other))
    gap = (one - other).abs().max()
    spread = one.std() if one.numel() > 1 else one.new_zeros(())
    of_spread, of_largest = TOLERANCE.get(one.dtype, TOLERANCE[torch.float32])
    return bool(gap <= of_spread * spread + of_largest * one.abs().max())


def _tokens(output: Tensor, height: int, width: int) -> Iterator[Tensor]:
    """Yield the map of tokens ``(4, L, C)`` without extra tokens in front."""
    prefix = output.shape[1] - height * width
    if 0 <= prefix <= MOST_PREFIX_TOKENS:
        yield output[:, prefix:].unflatten(1, (height, width)).permute(0, 3, 1, 2)


def wrapped(x: Tensor, padded: Tensor, amounts: Any) -> bool:
    """Return whether the border of ``padded`` is the opposite side of the map ``x``."""
    rows = torch.arange(padded.shape[2], device=x.device)
    columns = torch.arange(padded.shape[3], device=x.device)
    left, top = int(amounts[0]), int(amounts[2]) if len(amounts) > 2 else 0
    inside = x[:, :, (rows - top) % x.shape[2]][:, :, :, (columns - left) % x.shape[3]]
    return inside.shape == padded.shape and close(inside, padded)
