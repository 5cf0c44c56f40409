"""Moving images: one integer translation per image, with a named fill for what enters the frame."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

FILLS = ("circular", "black", "mean", "reflect", "edge")


def translate(
    images: Tensor, offsets: Tensor, fill: str = "circular", mean: Sequence[float] | None = None
) -> Tensor:
    """Move the content of image n down by ``offsets[n, 0]`` and right by ``offsets[n, 1]`` pixels.

    Args:
        images: ``(N, C, H, W)``, uint8 in 0..255 or float in 0..1.
        offsets: ``(N, 2)`` whole numbers (dy, dx) of any size.
        fill: What enters the frame: ``circular`` (the other side, like ``torch.roll``), ``black``,
            ``mean`` (of the data set), ``reflect`` (mirrored without repeating the edge), ``edge``.
        mean: Per-channel pixel mean in 0..1, needed for ``mean``.

    Returns:
        ``(N, C, H, W)`` in channels-last memory.
    """
    height, width = images.shape[-2:]
    offsets = offsets.to(images.device).long()
    rows = torch.arange(height, device=images.device) - offsets[:, :1]
    columns = torch.arange(width, device=images.device) - offsets[:, 1:]
    inside = _inside(rows, height)[:, :, None] & _inside(columns, width)[:, None, :]
    rows, columns = _source(rows, height, fill), _source(columns, width, fill)
    image = torch.arange(len(images), device=images.device)[:, None, None]
    moved = images.permute(0, 2, 3, 1)[image, rows[:, :, None], columns[:, None, :]]
    if fill in ("black", "mean"):
        value = fill_value(images, fill, mean)
        moved = torch.where(inside[..., None], moved, value)
    return moved.permute(0, 3, 1, 2)


def fill_value(images: Tensor, fill: str, mean: Sequence[float] | None) -> Tensor:
    """Return the per-channel pixel value ``(C,)`` of a constant fill, in the type of ``images``."""
    channels = images.shape[1]
    if fill == "black":
        return images.new_zeros(channels)
    value = torch.tensor(mean, device=images.device, dtype=torch.float32)
    if images.dtype == torch.uint8:
        value = (value * 255).round()
    return value.to(images.dtype)


def _inside(index: Tensor, size: int) -> Tensor:
    return (index >= 0) & (index < size)


def _source(index: Tensor, size: int, fill: str) -> Tensor:
    """Map positions outside 0..size-1 to the positions that ``fill`` reads instead."""
    if fill == "circular":
        return index % size
    if fill == "reflect" and size > 1:
        folded = index.abs() % (2 * size - 2)
        return torch.where(folded >= size, 2 * size - 2 - folded, folded)
    return index.clamp(0, size - 1)


def space_to_batch(x: Tensor, stride: tuple[int, int]) -> Tensor:
    """Put every sampling grid into the batch.

    ``x: (B, C, H, W) -> (B·sy·sx, C, H/sy, W/sx)``, the grids of one item side by side, row-major;
    item ``(py, px)`` holds ``x[..., py::sy, px::sx]``.
    """
    batch, channels, height, width = x.shape
    rows, columns = stride
    x = x.permute(0, 2, 3, 1)
    x = x.reshape(batch, height // rows, rows, width // columns, columns, channels)
    x = x.permute(0, 2, 4, 1, 3, 5).reshape(-1, height // rows, width // columns, channels)
    return x.permute(0, 3, 1, 2)


def rolls_to_batch(x: Tensor, size: tuple[int, int], sign: int) -> Tensor:
    """Put the rolls of every item by ``sign``·(0..size − 1) into the batch, side by side.

    ``x: (B, C, H, W) -> (B·size[0]·size[1], C, H, W)``, row-major.
    """
    offsets = [(sign * dy, sign * dx) for dy in range(size[0]) for dx in range(size[1])]
    rolled = torch.stack([x.roll(offset, (2, 3)) for offset in offsets], dim=1)
    return rolled.flatten(0, 1).contiguous(memory_format=torch.channels_last)


def to_unit(images: Tensor) -> Tensor:
    """Return pixels as float32 in 0..1; uint8 is divided by 255, float is kept."""
    return images.float().div_(255) if images.dtype == torch.uint8 else images.float()
