"""Ideal low-pass filter before subsampling, as the sampling theorem requires."""

from __future__ import annotations

from torch import Tensor

from shiftbench.errors import UsageError
from shiftbench.ops.geometry import space_to_batch
from shiftbench.ops.low_pass import low_pass
from shiftbench.pool.base import Downsampling


class IdealPool2d(Downsampling):
    """Remove all frequencies that the coarser grid cannot represent, then sample (``pool=ideal``).

    ``x: (N, C, H, W) -> (N, C, ceil(H/s), ceil(W/s))`` on a torus, computed in the Fourier domain.
    The output is shiftable (Simoncelli et al. 1992; Azulay & Weiss, arXiv 1805.12177, sec. 3): its
    values between the samples are determined by the samples, so the mean of the samples is the same
    under every shift of ``x``, integer or fractional. A subsequent ReLU generates new high
    frequencies, to which this does not apply.

    With m samples per axis, frequencies below m/2 cycles per feature map are kept. The frequency
    m/2, the Nyquist frequency of an even m, is removed as well: a sampled signal has no phase at
    this frequency, so it cannot be shifted. If s divides H, the operation is a filter followed by
    every s-th sample, beginning with the first; otherwise, the samples are spaced evenly on the
    torus.

    The layer has no parameters and no state. A run's ``macs`` do not include the Fourier
    transforms.

    Args:
        channels: Channels of ``x`` (any number is accepted in ``forward``).
        stride: Subsampling factor.
        padding: The network's padding; feature maps are periodic only with ``circular``.
        max_first: Whether a maximum precedes it at pooling sites.

    Raises:
        UsageError: If ``padding`` is not ``circular``.
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
