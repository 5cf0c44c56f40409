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


def waves(size: tuple[int, int], rows: Tensor, columns: Tensor) -> Tensor:
    """Return every frequency of a torus at some places, ``(h·w, len(rows)·len(columns))``, float64.

    First the cosines of the frequencies that are their own conjugates, then cosine and sine of one
    of each pair, in turn.
    """
    row, column = torch.meshgrid(rows.double(), columns.double(), indexing="ij")
    own, paired = frequencies(size)
    lines = [_angle(row, column, size, f).cos() for f in own]
    for frequency in paired:
        angle = _angle(row, column, size, frequency)
        lines += [angle.cos(), angle.sin()]
    return torch.stack([line.flatten() for line in lines])


def basis(size: tuple[int, int]) -> Tensor:
    """Return the real Fourier basis ``(h·w, h·w)``, float64, its rows orthonormal.

    They are in the order of :func:`waves`; sines are negative, as in a Fourier transform.
    """
    rows = waves(size, torch.arange(size[0]), torch.arange(size[1]))
    own = len(frequencies(size)[0])
    rows[own + 1 :: 2] *= -1
    orthonormal: Tensor = rows / rows.norm(dim=1, keepdim=True)
    return orthonormal


def _angle(row: Tensor, column: Tensor, size: tuple[int, int], frequency: Frequency) -> Tensor:
    return 2 * math.pi * (frequency[0] * row / size[0] + frequency[1] * column / size[1])
