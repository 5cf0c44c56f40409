"""Resizing windows of images whose borders may lie between pixels, in one interpolation."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from shiftbench.ops.geometry import exact_dtype


def resize_windows(
    images: Tensor, boxes: Tensor, size: tuple[int, int], mode: str = "bilinear"
) -> Tensor:
    """Resize the window ``boxes[n]`` of image n, with a filter as wide as the reduction.

    The value of a pixel is the mean of the image's pixels, weighted by the filter around the
    pixel's centre in the window; pixels beside the window contribute, those beside the image do
    not exist. With the whole image as the window it equals
    :func:`~shiftbench.ops.geometry.resize`.

    Args:
        images: ``(N, C, H, W)``, uint8 in 0..255 or float.
        boxes: ``(N, 4)`` top, left, height and width in pixels, within the image.
        size: ``(h, w)`` of the result.
        mode: ``bilinear`` or ``bicubic`` (Keys 1981 with a = −0.5).

    Returns:
        ``(N, C, h, w)`` in the type of ``images``, in channels-last memory: uint8 is rounded and
        clipped, float is not.
    """
    kernel, reach = KERNELS[mode]
    boxes, dtype = boxes.double().cpu(), exact_dtype(images.device)
    height, width = images.shape[-2:]
    rows = _weights(boxes[:, 0], boxes[:, 2], height, size[0], kernel, reach)
    columns = _weights(boxes[:, 1], boxes[:, 3], width, size[1], kernel, reach)
    rows, columns = (weights[:, None].to(images.device, dtype) for weights in (rows, columns))
    resized = rows @ images.to(dtype) @ columns.mT
    if images.dtype == torch.uint8:
        resized = resized.round_().clamp_(0, 255)
    return resized.to(images.dtype).contiguous(memory_format=torch.channels_last)


def shrink_about_centre(images: Tensor, factors: Tensor, mode: str = "bilinear") -> Tensor:
    """Scale image n by ``factors[n]`` about its centre, on its own canvas and on black.

    The pixel at p, relative to the centre, is the mean of the image around p / factor, with a
    filter as wide as the reduction (antialiased); black surrounds the image. By 1 every pixel is
    kept.

    Args:
        images: ``(N, C, H, W)``, uint8 in 0..255 or float.
        factors: ``(N,)``, above 0 and at most 1.
        mode: ``bilinear`` or ``bicubic``, as for :func:`resize_windows`.

    Returns:
        ``(N, C, H, W)`` in the type of ``images``: uint8 is rounded and clipped, float is not.
    """
    kernel, reach = KERNELS[mode]
    factors, dtype = factors.double().cpu(), exact_dtype(images.device)
    height, width = images.shape[-2:]
    weights = {
        side: _weights_on_black(factors, side, kernel, reach)[:, None].to(images.device, dtype)
        for side in {height, width}
    }
    shrunk = weights[height] @ images.to(dtype) @ weights[width].mT
    if images.dtype == torch.uint8:
        shrunk = shrunk.round_().clamp_(0, 255)
    return shrunk.to(images.dtype)


def _weights_on_black(
    factors: Tensor, side: int, kernel: Callable[[Tensor], Tensor], reach: int
) -> Tensor:
    """Return the weights ``(N, side, side)`` of an axis's pixels; those of black are left out."""
    # Black pixels count in the mean, as far as the filter of any pixel of the canvas reaches.
    border = math.ceil((side / 2 + reach) / float(factors.min()) - side / 2)
    wide, length = side + 2 * border, side / factors
    weights = _weights((wide - length) / 2, length, wide, side, kernel, reach)
    return weights[:, :, border : border + side]


def _weights(
    start: Tensor,
    length: Tensor,
    side: int,
    count: int,
    kernel: Callable[[Tensor], Tensor],
    reach: int,
) -> Tensor:
    """Return the weights ``(N, count, side)`` float64 of an axis's pixels, which add up to 1."""
    scale = (length / count)[:, None, None]
    place = torch.arange(count, dtype=torch.float64)[:, None]
    pixel = torch.arange(side, dtype=torch.float64)
    centre = start[:, None, None] + (place + 0.5) * scale
    away = (pixel + 0.5 - centre) / scale.clamp(min=1)
    weights = torch.where(away.abs() < reach, kernel(away.abs()), 0.0)
    return weights / weights.sum(-1, keepdim=True)


def _triangle(away: Tensor) -> Tensor:
    return 1 - away


def _cubic(away: Tensor) -> Tensor:
    a = -0.5
    near = (a + 2) * away**3 - (a + 3) * away**2 + 1
    far = a * (away**3 - 5 * away**2 + 8 * away - 4)
    return torch.where(away <= 1, near, far)


KERNELS = {"bilinear": (_triangle, 1), "bicubic": (_cubic, 2)}
"""Filters by name: a function of the distance in pixels of the result, and its largest distance."""
