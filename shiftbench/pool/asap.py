"""ASAP, aliasing- and spectral-artefact-free pooling (Grabinski et al., arXiv 2307.09804)."""

from __future__ import annotations

import math

from torch import Tensor

from shiftbench.ops.geometry import space_to_batch
from shiftbench.ops.low_pass import Size, low_pass
from shiftbench.pool.base import Downsampling


class SpectralArtefactFree2d(Downsampling):
    """Keep the lower half of the spectrum, tapered by a Hamming window.

    ``x: (N, C, H, W) -> (N, C, ceil(H/s), ceil(W/s))``, on a torus whatever the network's padding.
    The window √(w(f) w(g)), w(f) = .54 + .46 cos(2πf) for f cycles per pixel, suppresses the
    ringing of an ideal low-pass. It is symmetric about the constant, and the Nyquist frequency of
    the smaller map is removed: the layer commutes with every circular shift, whole or fractional.
    None of the three released forms does: one window is half a frequency off centre, one form adds
    a row and a column of zeros, one of them transposes the map.

    The layer has no parameters and no state. A run's ``macs`` do not include the Fourier
    transforms.

    Args:
        channels: Channels of ``x`` (any number is accepted in ``forward``).
        stride: Subsampling factor.
        padding: The network's padding; feature maps are periodic only with ``circular``.
        max_first: Whether a maximum precedes it at pooling sites.
    """

    stride: int
    pad = "circular"

    def __init__(
        self,
        channels: int,
        stride: int = 2,
        padding: str = "zeros",
        max_first: bool | None = None,
    ) -> None:
        super().__init__()
        self._choose_max_first(max_first)
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Filter and subsample ``x``."""
        return low_pass(x, self._smaller(x), self._smaller(x), _window)

    def all_phases(self, x: Tensor) -> Tensor:
        """Filter ``x`` and keep every sampling grid, ``-> (N·s², C, H/s, W/s)``."""
        filtered = low_pass(x, self._smaller(x), (x.shape[2], x.shape[3]), _window)
        return space_to_batch(filtered, (self.stride, self.stride))

    def _smaller(self, x: Tensor) -> Size:
        return -(-x.shape[2] // self.stride), -(-x.shape[3] // self.stride)

    def extra_repr(self) -> str:
        """Return the settings for ``print(model)``."""
        return f"stride={self.stride}"


def _window(frequency: Tensor) -> Tensor:
    return (0.54 + 0.46 * (2 * math.pi * frequency).cos()).sqrt()
