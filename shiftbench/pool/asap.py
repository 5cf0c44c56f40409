"""ASAP, aliasing- and spectral-artefact-free pooling (Grabinski et al., arXiv 2307.09804)."""

from __future__ import annotations

import math

from torch import Tensor

from shiftbench.ops.low_pass import Size, low_pass
from shiftbench.pool.spectral import SpectralPool2d


class SpectralArtefactFree2d(SpectralPool2d):
    """Keep the lower half of the spectrum, tapered by a Hamming window.

    ``x: (N, C, H, W) -> (N, C, ceil(H/s), ceil(W/s))``, on a torus whatever the network's padding.
    The window √(w(f) w(g)), w(f) = .54 + .46 cos(2πf) for f cycles per pixel, suppresses the
    ringing of an ideal low-pass. It is symmetric about the constant, and the Nyquist frequency of
    the smaller map is removed: the layer commutes with every circular shift, whole or fractional.
    None of the three released forms does: one window is half a frequency off centre, one form adds
    a row and a column of zeros, one of them transposes the map.

    Args: as :class:`~shiftbench.pool.spectral.SpectralPool2d`.
    """

    def filtered(self, x: Tensor, carried: Size, samples: Size) -> Tensor:
        """Return the tapered lower frequencies."""
        return low_pass(x, carried, samples, _window)


def _window(frequency: Tensor) -> Tensor:
    return (0.54 + 0.46 * (2 * math.pi * frequency).cos()).sqrt()
