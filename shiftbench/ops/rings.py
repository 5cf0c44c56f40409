"""Filters on rings: the basis of circular harmonics (Worrall et al., arXiv 1612.04642, sec. 4)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

SAMPLES = 104  # angles of a ring; a multiple of 8, so that quarter turns permute them
SIGMA = 0.5  # px, of the Gaussian that spreads a sample over the pixels


def ring_basis(order: int, kernel_size: int = 5, rings: int = 4) -> tuple[Tensor, Tensor]:
    """Return the real and imaginary part of e^{i·order·φ} on each ring, ``(rings, k, k)`` float64.

    A sample at angle φ of a ring of radius r is spread over all pixels of the kernel by a Gaussian
    whose weights sum to 1; the ring is the mean over its samples of e^{i·order·φ} times these
    weights. Angles run from x to y, with y pointing upwards, i.e. to smaller rows. The radii are
    evenly spaced up to ``rings`` − 0.5 px, from 0 for order 0 and from 1 px for others, which
    vanish at the centre. A quarter turn of the kernel multiplies it by a power of i exactly up to
    rounding.

    Args:
        order: Rotation order m, at least 0.
        kernel_size: Pixels of a side, odd.
        rings: Number of radii.
    """
    half = (kernel_size - 1) / 2
    radii = torch.linspace(float(order > 0), rings - 0.5, rings, dtype=torch.float64)
    angles = torch.arange(SAMPLES, dtype=torch.float64) * (2 * math.pi / SAMPLES)
    x = radii[:, None] * angles.cos()
    y = -radii[:, None] * angles.sin()
    pixels = torch.arange(kernel_size, dtype=torch.float64) - half
    across = (x[..., None] - pixels) ** 2
    down = (y[..., None] - pixels) ** 2
    weights = (-(down[..., :, None] + across[..., None, :]) / (2 * SIGMA**2)).exp()
    weights = weights / weights.sum((-2, -1), keepdim=True)
    phase = order * angles
    parts = (torch.einsum("s,rshw->rhw", wave, weights) / SAMPLES
             for wave in (phase.cos(), phase.sin()))  # fmt: skip
    cosine, sine = parts
    return cosine, sine
