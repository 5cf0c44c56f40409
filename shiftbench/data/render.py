"""Images of scenes, from a camera that can move by any fraction of a pixel."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from shiftbench.data.scenes import Scenes, one_thread
from shiftbench.data.sdf import SHAPES, coverage, stroke

# Pixels of one colour plane processed at once: few enough for the CPU's cache.
_CHUNK_PIXELS = 2**17


def _sum_waves(waves: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """Return the sum of waves ``(n, K, 6)`` on the grid ``y`` ``(n, H)`` by ``x`` ``(n, W)``.

    sin(a + b) = sin(a) cos(b) + cos(a) sin(b) makes the sum a matrix product ``(n, 3, H, W)``.
    """
    along_y = 2 * math.pi * waves[..., 0:1] * y[:, None] + waves[..., 2:3]
    along_x = 2 * math.pi * waves[..., 1:2] * x[:, None]
    left = torch.cat([along_y.sin(), along_y.cos()], 1).mT[:, None]
    right = torch.cat([along_x.cos(), along_x.sin()], 1)[:, None]
    amplitude = waves[..., 3:].repeat(1, 2, 1).mT[:, :, None]
    return (left * amplitude) @ right


def _turned(y: Tensor, x: Tensor, centre: Tensor, angle: Tensor) -> tuple[Tensor, Tensor]:
    """Return the grid's coordinates ``(n, H, W)`` in a frame at ``centre`` turned by ``angle``."""
    y, x = (y - centre[:, 0:1])[:, :, None], (x - centre[:, 1:2])[:, None]
    cos, sin = angle.cos()[:, None, None], angle.sin()[:, None, None]
    return y * cos - x * sin, y * sin + x * cos


def _object_cover(scenes: Scenes, y: Tensor, x: Tensor, size: int) -> Tensor:
    """Return the share of every pixel that the object covers, ``(n, 1, H, W)``."""
    radius = (scenes.diameter / 2)[:, None, None]
    y, x = (part / radius for part in _turned(y, x, scenes.centre, scenes.angle))
    distance = torch.empty_like(y)
    for label, shape in enumerate(SHAPES.values()):
        rows = (scenes.labels == label).nonzero().flatten()
        distance[rows] = shape(y[rows], x[rows])
    return coverage(distance * radius * size)[:, None]


def _add_strokes(image: Tensor, strokes: Tensor, y: Tensor, x: Tensor, size: int) -> Tensor:
    """Paint strokes ``(n, K, 9)`` over ``image`` ``(n, 3, H, W)``, the first one at the bottom."""
    for one in strokes.unbind(1):
        half_length, half_width, opacity = (part[:, None, None] for part in one[:, 3:6].unbind(1))
        distance = stroke(*_turned(y, x, one[:, :2], one[:, 2]), half_length) - half_width
        cover = (coverage(distance * size) * opacity)[:, None]
        image = image.lerp(one[:, 6:, None, None], cover)
    return image


def _render_chunk(scenes: Scenes, size: int, offset: Tensor) -> Tensor:
    pixels = torch.arange(size) + 0.5 - offset[:, :, None]
    y, x = (pixels / size).unbind(1)
    behind, front = scenes.colour[..., None, None].unbind(1)
    image = behind + _sum_waves(scenes.texture, y, x)
    image = _add_strokes(image, scenes.strokes, y, x, size)
    thing = front + _sum_waves(scenes.pattern, y, x)
    image = image.lerp(thing, _object_cover(scenes, y, x, size))
    image = image + _sum_waves(scenes.grain, *pixels.unbind(1))
    return (image * 255).round().clamp(0, 255).to(torch.uint8)


@one_thread()
def render(scenes: Scenes, size: int, offset: Tensor) -> Tensor:
    """Return images ``(N, 3, size, size)`` uint8 of N scenes.

    Args:
        scenes: The scenes.
        size: Image side in pixels.
        offset: ``(N, 2)`` pixels by which the content moves down and to the right; any real.
    """
    images = torch.empty(len(scenes), 3, size, size, dtype=torch.uint8)
    chunk = max(1, _CHUNK_PIXELS // size**2)
    for start in range(0, len(scenes), chunk):
        part = slice(start, start + chunk)
        images[part] = _render_chunk(scenes[part], size, offset[part])
    return images
