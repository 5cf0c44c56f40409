"""Frequency low-cut pooling (Grabinski et al., arXiv 2204.00491, sec. 4)."""

from __future__ import annotations

from torch import Tensor

from shiftbench.errors import require_one_of
from shiftbench.ops.low_pass import Size, low_pass, one_sided_low_pass
from shiftbench.pool.spectral import SpectralPool2d

NYQUIST = ("keep", "remove")


class FrequencyLowCut2d(SpectralPool2d):
    """Keep the lower half of the spectrum, and its real part after the inverse transform.

    ``x: (N, C, H, W) -> (N, C, ceil(H/s), ceil(W/s))``, on a torus whatever the network's padding.
    As released, the Nyquist frequency of the smaller map is kept with one sign only; it has no
    phase, so the layer does not commute with shifts of maps of even size. Without it the layer is
    :class:`~shiftbench.pool.IdealPool2d`, which does. A subsequent ReLU aliases in either case.

    Args:
        channels: Channels of ``x`` (any number is accepted in ``forward``).
        stride: Subsampling factor.
        padding: The network's padding; feature maps are periodic only with ``circular``.
        nyquist: ``keep`` as released, or ``remove``.
        max_first: Whether a maximum precedes it at pooling sites.

    Raises:
        UsageError: If ``nyquist`` is neither.
    """

    def __init__(
        self,
        channels: int,
        stride: int = 2,
        padding: str = "zeros",
        nyquist: str = "keep",
        max_first: bool | None = None,
    ) -> None:
        super().__init__(channels, stride, padding, max_first)
        require_one_of("pool.nyquist", nyquist, NYQUIST)
        self.nyquist = nyquist

    def filtered(self, x: Tensor, carried: Size, samples: Size) -> Tensor:
        """Return the lower frequencies, with or without the Nyquist frequency."""
        keep = low_pass if self.nyquist == "remove" else one_sided_low_pass
        return keep(x, carried, samples)

    def extra_repr(self) -> str:
        """Return the settings for ``print(model)``."""
        return f"{super().extra_repr()}, nyquist={self.nyquist}"
