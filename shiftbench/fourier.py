"""The discrete Fourier transform of a small torus, as a real matrix.

For an h×w map it is an orthogonal matrix of h·w rows (cosines and sines), exact on a torus, and as
small as the map. A convolution becomes a product at every frequency.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

Frequency = tuple[int, int]


def frequencies(size: tuple[int, int]) -> tuple[list[Frequency], list[Frequency]]:
    """Return the frequencies that are their own conjugates, and one of each conjugate pair.

    >>> frequencies((1, 4))
    ([(0, 0), (0, 2)], [(0, 1)])
    """
    height, width = size
    every = [(u, v) for u in range(height) for v in range(width)]
    conjugate = {f: (-f[0] % height, -f[1] % width) for f in every}
    own = [f for f in every if conjugate[f] == f]
    return own, [f for f in every if f < conjugate[f]]


def basis(size: tuple[int, int]) -> Tensor:
    """Return the real Fourier basis ``(h·w, h·w)`` in float64, its rows orthonormal.

    First the frequencies that are their own conjugates, then cosine and sine of each pair.
    """
    height, width = size
    rows, columns = torch.meshgrid(
        torch.arange(height).double(), torch.arange(width).double(), indexing="ij"
    )
    own, paired = frequencies(size)
    positions = height * width
    lines = [torch.cos(angle_of(rows, columns, size, f)) / math.sqrt(positions) for f in own]
    for frequency in paired:
        angle = angle_of(rows, columns, size, frequency)
        lines += [torch.cos(angle), -torch.sin(angle)]
        lines[-2:] = [line * math.sqrt(2 / positions) for line in lines[-2:]]
    return torch.stack([line.flatten() for line in lines])


def angle_of(rows: Tensor, columns: Tensor, size: tuple[int, int], frequency: Frequency) -> Tensor:
    """Return a frequency's phase, in radians, at places of a map of ``size``."""
    return 2 * math.pi * (frequency[0] * rows / size[0] + frequency[1] * columns / size[1])
