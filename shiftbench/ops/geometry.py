"""Shifting images: one offset per image, with a named fill for pixels that enter the frame."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from shiftbench.errors import UsageError

FILLS = ("circular", "black", "mean", "reflect", "edge")


def translate(
    images: Tensor, offsets: Tensor, fill: str = "circular", mean: Sequence[float] | None = None
) -> Tensor:
    """Move the content of image n down by ``offsets[n, 0]`` and right by ``offsets[n, 1]`` pixels.

    Args:
        images: ``(N, C, H, W)``, uint8 in 0..255 or float in 0..1.
        offsets: ``(N, 2)`` integers (dy, dx) of any size.
        fill: Pixels that enter the frame: ``circular`` (as ``torch.roll``), ``black``,
            ``mean`` (of the data set), ``reflect`` (mirrored without repeating the edge), ``edge``.
        mean: Per-channel pixel mean in 0..1, needed for ``mean``.

    Returns:
        ``(N, C, H, W)`` in channels-last memory, in the dtype of ``images``.
    """
    height, width = images.shape[-2:]
    offsets = offsets.to(images.device).long()
    rows = torch.arange(height, device=images.device) - offsets[:, :1]
    columns = torch.arange(width, device=images.device) - offsets[:, 1:]
    inside = _inside(rows, height)[:, :, None] & _inside(columns, width)[:, None, :]
    rows, columns = _source(rows, height, fill), _source(columns, width, fill)
    moved = _gather(images, rows, columns)
    if fill in ("black", "mean"):
        value = fill_value(images, fill, mean)
        moved = torch.where(inside[..., None], moved, value)
    return moved.permute(0, 3, 1, 2)


def windows(images: Tensor, corners: Tensor, size: tuple[int, int]) -> Tensor:
    """Crop the window of ``size`` whose upper left pixel is ``corners[n]`` from image n.

    Args:
        images: ``(N, C, H, W)``.
        corners: ``(N, 2)`` integers (y, x); the windows lie inside the images.
        size: ``(h, w)`` of the windows.

    Returns:
        ``(N, C, h, w)`` in channels-last memory.
    """
    corners = corners.to(images.device).long()
    rows = corners[:, :1] + torch.arange(size[0], device=images.device)
    columns = corners[:, 1:] + torch.arange(size[1], device=images.device)
    return _gather(images, rows, columns).permute(0, 3, 1, 2)


def paste(objects: Tensor, corners: Tensor, canvas: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Put object n on a black canvas, its upper left pixel at ``corners[n]``.

    Args:
        objects: ``(N, C, h, w)``.
        corners: ``(N, 2)`` integers (y, x).
        canvas: ``(H, W)``.

    Returns:
        The images ``(N, C, H, W)`` in channels-last memory, and the mask of the object,
        ``(N, 1, H, W)`` bool.
    """
    corners = corners.to(objects.device).long()
    rows = torch.arange(canvas[0], device=objects.device) - corners[:, :1]
    columns = torch.arange(canvas[1], device=objects.device) - corners[:, 1:]
    height, width = objects.shape[-2:]
    inside = _inside(rows, height)[:, :, None] & _inside(columns, width)[:, None, :]
    placed = _gather(objects, rows.clamp(0, height - 1), columns.clamp(0, width - 1))
    placed = torch.where(inside[..., None], placed, placed.new_zeros(()))
    return placed.permute(0, 3, 1, 2), inside[:, None]


def resize(images: Tensor, size: tuple[int, int], mode: str = "bilinear") -> Tensor:
    """Resize with a filter as wide as the reduction (antialiased), separately for both sides.

    Args:
        images: ``(N, C, H, W)``, uint8 in 0..255 or float.
        size: ``(h, w)``.
        mode: ``bilinear`` or ``bicubic``.

    Returns:
        ``(N, C, h, w)`` in the type of ``images``: uint8 is rounded and clipped, as in an image
        file; float is not.
    """
    if tuple(images.shape[-2:]) == tuple(size):
        return images
    resized = F.interpolate(images.float(), size, mode=mode, align_corners=False, antialias=True)
    if images.dtype == torch.uint8:
        resized = resized.round_().clamp_(0, 255)
    return resized.to(images.dtype)


def _gather(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return ``(N, h, w, C)``: of image n the pixels ``rows[n] (h,)`` × ``columns[n] (w,)``."""
    image = torch.arange(len(images), device=images.device)[:, None, None]
    return images.permute(0, 2, 3, 1)[image, rows[:, :, None], columns[:, None, :]]


def fill_value(images: Tensor, fill: str, mean: Sequence[float] | None) -> Tensor:
    """Return the per-channel pixel value ``(C,)`` of a constant fill, in the type of ``images``.

    In uint8 the mean is rounded; :func:`as_float` makes images that hold it.
    """
    if fill == "black":
        return images.new_zeros(images.shape[1])
    if mean is None:
        raise UsageError(
            "fill=mean needs the mean of the pixels and got none; give mean=[...], one number for "
            "each channel"
        )
    # In float32, as the network subtracts it: float images are then exactly 0 after normalisation.
    value = torch.tensor(mean, device=images.device, dtype=torch.float32)
    if images.dtype == torch.uint8:
        value = (value * 255).round()
    return value.to(images.dtype)


def as_float(images: Tensor) -> Tensor:
    """Return pixels in a dtype that can represent their mean: uint8 as float32 in 0..1."""
    if images.dtype == torch.uint8:
        return to_unit(images)
    return images.to(torch.promote_types(images.dtype, torch.float32))


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
    """Move every sampling grid to the batch dimension.

    ``x: (B, C, H, W) -> (B·sy·sx, C, H/sy, W/sx)``, the grids of one item adjacent, row-major;
    item ``(py, px)`` holds ``x[..., py::sy, px::sx]``.
    """
    batch, channels, height, width = x.shape
    rows, columns = stride
    x = x.permute(0, 2, 3, 1)
    x = x.reshape(batch, height // rows, rows, width // columns, columns, channels)
    x = x.permute(0, 2, 4, 1, 3, 5).reshape(-1, height // rows, width // columns, channels)
    return x.permute(0, 3, 1, 2)


def rolls_to_batch(x: Tensor, size: tuple[int, int], sign: int) -> Tensor:
    """Move the rolls of every item by ``sign``·(0..size − 1) to the batch dimension, adjacent.

    ``x: (B, C, H, W) -> (B·size[0]·size[1], C, H, W)``, row-major.
    """
    offsets = [(sign * dy, sign * dx) for dy in range(size[0]) for dx in range(size[1])]
    rolled = torch.stack([x.roll(offset, (2, 3)) for offset in offsets], dim=1)
    return rolled.flatten(0, 1).contiguous(memory_format=torch.channels_last)


def exact_dtype(device: torch.device) -> torch.dtype:
    """Return the floating-point type for positions and weights: double, if the device has it.

    Products of doubles are not rounded to TF32, whatever the precision of the network.
    """
    return torch.float32 if device.type == "mps" else torch.float64


def to_unit(images: Tensor) -> Tensor:
    """Return pixels as float32 in 0..1; uint8 is divided by 255, float is kept."""
    return images.float().div_(255) if images.dtype == torch.uint8 else images.float()
