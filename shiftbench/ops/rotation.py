"""Rotating and moving images in one interpolation, without one where pixels meet pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from shiftbench.ops.geometry import exact_dtype, fill_value, to_unit, translate

INTERPOLATIONS = ("nearest", "bilinear", "bicubic")
FILLS = ("black", "mean", "reflect", "edge")
GRID_PADDINGS = {"black": "zeros", "mean": "zeros", "reflect": "reflection", "edge": "border"}


def turn(
    images: Tensor,
    angles: Tensor,
    offsets: Tensor | None = None,
    interpolation: str = "bilinear",
    fill: str = "black",
    mean: Sequence[float] | None = None,
) -> Tensor:
    """Rotate image n counter-clockwise by ``angles[n]`` about its centre, then move it.

    The pixel at p, relative to the centre, shows the image at R⁻¹(p − offset). By multiples of 90°
    and whole pixels, pixels are moved as by ``torch.rot90`` and not interpolated; on images that
    are not square only multiples of 180° are.

    Args:
        images: ``(N, C, H, W)``, uint8 in 0..255 or float in 0..1.
        angles: ``(N,)`` degrees.
        offsets: ``(N, 2)`` pixels (dy, dx), down and to the right; None is 0.
        interpolation: ``nearest``, ``bilinear`` or ``bicubic`` (Keys 1981 with a = −0.75; values
            may leave 0..1).
        fill: Pixels from outside the image: ``black`` (0), ``mean`` (of the data set), ``reflect``
            (mirrored without repeating the edge), ``edge``. The image ends half a pixel beyond its
            border pixels, towards which bilinear interpolation mixes it with a constant fill.
        mean: Per-channel pixel mean in 0..1, needed for ``mean``.

    Returns:
        ``(N, C, H, W)`` float32 in 0..1, in channels-last memory; float64 if the images are.
    """
    images = images if images.dtype == torch.float64 else to_unit(images)
    angles = angles.double().cpu()
    offsets = torch.zeros(len(angles), 2) if offsets is None else offsets
    offsets = offsets.double().cpu()
    quarters = _quarters(angles, offsets, images.shape[-2] == images.shape[-1])
    turned = torch.empty_like(images, memory_format=torch.channels_last)
    for quarter in quarters.unique().tolist():
        chosen = (quarters == quarter).nonzero().squeeze(1)
        place = chosen.to(images.device)
        if quarter < 0:
            form = (interpolation, fill, mean)
            turned[place] = _interpolated(images[place], angles[chosen], offsets[chosen], *form)
        else:
            exact = torch.rot90(images[place], quarter, (2, 3))
            turned[place] = translate(exact, offsets[chosen].round(), fill, mean)
    return turned


def disc(size: tuple[int, int], device: torch.device) -> Tensor:
    """Return the pixels of the inscribed circle, ``(H, W)`` bool.

    Their centres lie within (min(H, W) − 1)/2 px of the image's centre, so that rotated by any
    angle they show pixels of the image only.
    """
    rows, columns = (torch.arange(side, device=device) - (side - 1) / 2 for side in size)
    radius = (min(size) - 1) / 2
    return rows[:, None] ** 2 + columns**2 <= radius**2 + 1e-6


def _quarters(angles: Tensor, offsets: Tensor, is_square: bool) -> Tensor:
    """Return the number of quarter turns 0..3 of each exact rotation, −1 for the others."""
    quarter = (angles / 90).round()
    exact = (quarter * 90 == angles) & (offsets == offsets.round()).all(1)
    exact &= torch.tensor(is_square) | (quarter % 2 == 0)
    return torch.where(exact, quarter % 4, -1).long()


def _interpolated(
    images: Tensor,
    angles: Tensor,
    offsets: Tensor,
    interpolation: str,
    fill: str,
    mean: Sequence[float] | None,
) -> Tensor:
    # Black is 0, so that subtracting a constant fill makes it what surrounds the image.
    constant = fill in ("black", "mean")
    value = fill_value(images, fill, mean)[:, None, None] if constant else images.new_zeros(())
    size = (images.shape[-2], images.shape[-1])
    positions = _sources(angles, offsets, size, images.device).to(images.dtype)
    shown = F.grid_sample(
        images - value, positions, interpolation, GRID_PADDINGS[fill], align_corners=True
    )
    return shown + value


def _sources(
    angles: Tensor, offsets: Tensor, size: tuple[int, int], device: torch.device
) -> Tensor:
    """Return the positions ``(N, H, W, 2)``, (x, y) in −1..1 between the outer pixel centres."""
    height, width = size
    angle = angles[:, None, None] * (math.pi / 180)
    rows = torch.arange(height, dtype=torch.float64) - (height - 1) / 2
    columns = torch.arange(width, dtype=torch.float64) - (width - 1) / 2
    y = (rows - offsets[:, :1])[:, :, None]
    x = (columns - offsets[:, 1:])[:, None, :]
    cosine, sine, y, x = (
        part.to(device, exact_dtype(device)) for part in (angle.cos(), angle.sin(), y, x)
    )
    # Counter-clockwise on a y axis that points down: (x, y) comes from R⁻¹(x, y).
    source_x = x * cosine - y * sine
    source_y = x * sine + y * cosine
    scaled = (2 * source_x / max(width - 1, 1), 2 * source_y / max(height - 1, 1))
    return torch.stack(scaled, dim=-1)
