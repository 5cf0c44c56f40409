"""Ideal low-pass filter before subsampling, as the sampling theorem requires."""

from __future__ import annotations

from torch import Tensor

from shiftbench.errors import UsageError
from shiftbench.ops.low_pass import Size, low_pass
from shiftbench.pool.spectral import SpectralPool2d


class IdealPool2d(SpectralPool2d):
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

    Args: as :class:`~shiftbench.pool.spectral.SpectralPool2d`.

    Raises:
        UsageError: If ``padding`` is not ``circular``.
    """

    def __init__(
        self,
        channels: int,
        stride: int = 2,
        padding: str = "zeros",
        max_first: bool | None = None,
    ) -> None:
        super().__init__(channels, stride, padding, max_first)
        if padding != "circular":
            raise UsageError(
                f"pool=ideal needs circular borders, got padding={padding}; add padding=circular"
            )

    def filtered(self, x: Tensor, carried: Size, samples: Size) -> Tensor:
        """Return the lower frequencies."""
        return low_pass(x, carried, samples)
