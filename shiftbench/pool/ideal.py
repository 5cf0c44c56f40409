"""Ideal low-pass before subsampling: what the sampling theorem asks for."""

from __future__ import annotations

import torch
from torch import Tensor

from shiftbench.errors import UsageError
from shiftbench.ops.autocast import at_least_single
from shiftbench.ops.geometry import space_to_batch
from shiftbench.pool.base import Downsampling


class IdealPool2d(Downsampling):
    """Remove every frequency that the smaller grid cannot carry, then sample (``pool=ideal``).

    ``x: (N, C, H, W) -> (N, C, ceil(H/s), ceil(W/s))`` on a torus, through the Fourier domain. The
    map is shiftable (Simoncelli et al. 1992; Azulay & Weiss, arXiv 1805.12177, sec. 3): what lies
    between its samples follows from them, so their mean is the same under every shift of ``x``,
    whole or fractional. A ReLU makes new high frequencies, which the next convolutions see.

    Of m samples per axis, frequencies below m/2 cycles per map stay. The one at m/2, the Nyquist
    frequency of an even m, goes too: on samples it has an amplitude but no phase, and so cannot be
    shifted. Where s divides H, this is a filter and then every s-th sample, the first one kept;
    where it does not, the samples are spread evenly over the torus, which they then still fit.

    Has no parameters and no state. A run's ``macs`` leave the Fourier transforms out.

    Args:
        channels: Channels of ``x`` (any number is accepted in ``forward``).
        stride: Subsampling factor.
        padding: The network's padding; only ``circular`` makes maps periodic.

    Raises:
        UsageError: If ``padding`` is another.
    """

    stride: int
    pad = "circular"

    def __init__(self, channels: int, stride: int = 2, padding: str = "zeros") -> None:
        super().__init__()
        if padding != "circular":
            raise UsageError(
                f"pool=ideal needs circular borders, got padding={padding}; add padding=circular"
            )
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Filter and subsample ``x``."""
        return low_pass(x, self._smaller(x), self._smaller(x))

    def all_phases(self, x: Tensor) -> Tensor:
        """Filter ``x`` and keep every sampling grid, ``-> (N·s², C, H/s, W/s)``."""
        filtered = low_pass(x, self._smaller(x), (x.shape[2], x.shape[3]))
        return space_to_batch(filtered, (self.stride, self.stride))

    def _smaller(self, x: Tensor) -> tuple[int, int]:
        return -(-x.shape[2] // self.stride), -(-x.shape[3] // self.stride)

    def extra_repr(self) -> str:
        """Return the settings for ``print(model)``."""
        return f"stride={self.stride}"


def low_pass(x: Tensor, carried: tuple[int, int], samples: tuple[int, int]) -> Tensor:
    """Keep what a grid of ``carried`` samples carries, and sample it on one of ``samples``.

    ``x: (N, C, H, W) -> (N, C, *samples)``, the upper left sample at the upper left of ``x``. Both
    grids spread evenly over the torus and have at most H×W samples, ``samples`` no fewer than
    ``carried``.
    """
    spectrum = torch.fft.rfft2(at_least_single(x), norm="forward")
    rows, columns = ((size - 1) // 2 for size in carried)  # highest frequencies that stay
    kept = spectrum.new_zeros(*x.shape[:2], samples[0], samples[1] // 2 + 1)
    kept[:, :, : rows + 1, : columns + 1] = spectrum[:, :, : rows + 1, : columns + 1]
    if rows:
        kept[:, :, -rows:, : columns + 1] = spectrum[:, :, -rows:, : columns + 1]
    sampled: Tensor = torch.fft.irfft2(kept, s=samples, norm="forward")
    return sampled.to(x.dtype)
