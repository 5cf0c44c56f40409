"""Circular harmonics on a grid of pixels: filters that turn by a change of phase."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

RINGS = 4
SAMPLES = 101  # of each ring
SPREAD = 0.5  # standard deviation in pixels of the Gaussian around each sample

_QUARTERS = (1, 1j, -1, -1j)


def ring_harmonics(order: int, size: int = 5, radii: Sequence[float] | None = None) -> Tensor:
    """Return R_r(|q|) e^(i·order·φ) on the pixels q of a filter, complex, one for each ring r.

    Each ring has 101 samples, each of which is spread over the pixels by a Gaussian whose weights
    sum to 1; the filter is the mean of e^(i·order·φ) over the samples (Worrall et al.,
    arXiv 1612.04642, sec. 4, and their released code). φ is measured counter-clockwise from the
    right, as ``torch.rot90`` turns images. One quarter further round the centre the filter has
    i^order times the value, to the last bit, as three quadrants are copies of the first.

    Args:
        order: Order m of the harmonic, 0 or more.
        size: Side of the filter in pixels, odd.
        radii: Of the rings, in pixels; by default four from 0 to 3.5, evenly spaced, or from 1 if
            the order is not 0.

    Returns:
        ``(rings, size, size)``, complex128.
    """
    if radii is None:
        radii = torch.linspace(0.0 if order == 0 else 1.0, RINGS - 0.5, RINGS).tolist()
    angles = 2 * math.pi * torch.arange(SAMPLES, dtype=torch.float64) / SAMPLES
    on_circle = torch.polar(torch.ones_like(angles), angles)
    samples = torch.tensor(radii, dtype=torch.float64)[:, None] * on_circle
    distance = (samples[..., None] - _pixels(size).flatten()).abs()
    weights = torch.softmax(-(distance**2) / (2 * SPREAD**2), dim=-1)
    means = ((on_circle**order)[:, None] * weights).mean(1)
    return turned_alike(means.unflatten(1, (size, size)), order)


def turned_alike(filters: Tensor, order: int) -> Tensor:
    """Return filters whose value one quarter further round the centre is exactly i^order times it.

    ``filters: (..., size, size)``, complex, of which that is true up to rounding; the first
    quadrant is kept and the others are made from it.
    """
    pixels = _pixels(filters.shape[-1])
    first = (pixels.real > 0) & (pixels.imag >= 0)
    centre = (pixels == 0) if order % 4 == 0 else torch.zeros_like(first)
    quadrant = filters.where(first, torch.zeros((), dtype=filters.dtype))
    whole = filters.where(centre, torch.zeros((), dtype=filters.dtype))
    for turns in range(4):
        whole = whole + _QUARTERS[order * turns % 4] * quadrant.rot90(turns, (-2, -1))
    return whole


def _pixels(size: int) -> Tensor:
    """Return the pixels of a filter as complex numbers, to the right + i · upwards."""
    axis = torch.arange(size, dtype=torch.float64) - size // 2
    return torch.complex(axis.expand(size, size), -axis[:, None].expand(size, size))
