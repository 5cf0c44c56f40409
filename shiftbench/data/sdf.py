"""Signed distance functions of the ten shapes, and the coverage of a pixel.

A distance function takes the coordinates ``y`` and ``x`` of points (tensors of one shape) and
returns their distance to the outline: negative inside, zero on it, positive outside. Every shape
fits in the circle of radius 1 around the origin and touches it. Close to the outline, which is
all that a pixel's coverage looks at, the values are true distances; far away some are bounds.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

Distance = Callable[[Tensor, Tensor], Tensor]


def disc(y: Tensor, x: Tensor) -> Tensor:
    """Return the distance to a filled circle."""
    return torch.hypot(y, x) - 1


def ellipse(y: Tensor, x: Tensor) -> Tensor:
    """Return the distance to first order to a filled ellipse, 0.68 times as high as wide."""
    height = 0.68
    scaled = torch.hypot(y / height, x)
    slope = torch.hypot(y / height**2, x).clamp_min(1e-6)
    return scaled * (scaled - 1) / slope


def ring(y: Tensor, x: Tensor) -> Tensor:
    """Return the distance to a ring with a hole half as wide as the ring."""
    return (torch.hypot(y, x) - 0.75).abs() - 0.25


def _sector(y: Tensor, x: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Fold the plane into half a sector of ``count``: ``(across, along)`` the tip's direction."""
    step = 2 * math.pi / count
    angle = torch.atan2(y, x)
    folded = (angle - step * torch.round(angle / step)).abs()
    radius = torch.hypot(y, x)
    return radius * folded.sin(), radius * folded.cos()


def _edge(across: Tensor, along: Tensor, inner: float, half_step: float) -> Tensor:
    """Return the distance to the line from the tip (0, 1) to the notch, in a folded sector.

    The notch lies at radius ``inner`` and at the angle ``half_step`` from the tip.
    """
    run, drop = inner * math.sin(half_step), 1 - inner * math.cos(half_step)
    return (across * drop + (along - 1) * run) / math.hypot(run, drop)


def polygon(count: int) -> Distance:
    """Return the distance function of a regular polygon with ``count`` corners."""
    half_step = math.pi / count

    def distance(y: Tensor, x: Tensor) -> Tensor:
        # A corner's neighbour is a whole step away, so the middle of the side is the notch.
        return _edge(*_sector(y, x, count), math.cos(half_step), half_step)

    return distance


def star(y: Tensor, x: Tensor) -> Tensor:
    """Return the distance to a star with five tips."""
    return _edge(*_sector(y, x, 5), 0.5, math.pi / 5)


def cross(y: Tensor, x: Tensor) -> Tensor:
    """Return the distance to a plus sign with arms 0.66 wide."""
    half_width = 0.33
    length = math.sqrt(1 - half_width**2)
    wide, narrow = torch.maximum(y.abs(), x.abs()), torch.minimum(y.abs(), x.abs())
    # Outside the arms; in the middle, the nearest outline is one of the four inner corners.
    outside = torch.maximum(wide - length, narrow - half_width)
    inside = -torch.hypot((half_width - wide).clamp_min(0), (half_width - narrow).clamp_min(0))
    return torch.where(wide < half_width, inside, outside)


def crescent(y: Tensor, x: Tensor) -> Tensor:
    """Return the distance to a circle with a smaller circle bitten out of its side."""
    bite = 0.8 - torch.hypot(y, x - 0.5)
    return torch.maximum(disc(y, x), bite)


def heart(y: Tensor, x: Tensor) -> Tensor:
    """Return the distance to a heart made of a square's corner and two half circles."""
    # The unit square's heart has its tip at the origin and fits a circle of this radius.
    radius = 0.63064
    x, y = x.abs() * radius, (1 - y) * radius
    lobe = torch.hypot(x - 0.25, y - 0.75) - math.sqrt(2) / 4
    foot = (x + y).clamp_min(0) / 2
    side = torch.minimum(torch.hypot(x, y - 1), torch.hypot(x - foot, y - foot))
    return torch.where(x + y > 1, lobe, side * torch.sign(x - y)) / radius


SHAPES: dict[str, Distance] = {
    "disc": disc,
    "ellipse": ellipse,
    "ring": ring,
    "triangle": polygon(3),
    "square": polygon(4),
    "pentagon": polygon(5),
    "star": star,
    "cross": cross,
    "crescent": crescent,
    "heart": heart,
}


def stroke(y: Tensor, x: Tensor, half_length: Tensor) -> Tensor:
    """Return the distance to a line of ``2 * half_length`` along x, centred on the origin."""
    return torch.hypot(y, (x.abs() - half_length).clamp_min(0))


def coverage(distance: Tensor) -> Tensor:
    """Return how much of a pixel is covered, in 0..1, from the distance in pixels.

    A ramp one pixel wide: exact where a straight outline runs along the pixel grid.
    """
    return (0.5 - distance).clamp(0, 1)
