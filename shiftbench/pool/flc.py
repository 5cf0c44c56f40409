"""Frequency low-cut pooling (Grabinski et al., arXiv 2204.00491, sec. 4)."""

from __future__ import annotations

from torch import Tensor

from shiftbench.errors import require_one_of
from shiftbench.ops.geometry import space_to_batch
from shiftbench.ops.low_pass import Size, low_pass, one_sided_low_pass
from shiftbench.pool.base import Downsampling

NYQUIST = ("keep", "remove")


class FrequencyLowCut2d(Downsampling):
    """Keep the lower half of the spectrum, and its real part after the inverse transform.

    ``x: (N, C, H, W) -> (N, C, ceil(H/s), ceil(W/s))``, on a torus whatever the network's padding.
    As released, the Nyquist frequency of the smaller map is kept with one sign only; it has no
    phase, so the layer does not commute with shifts of maps of even size. Without it the layer is
    :class:`~shiftbench.pool.IdealPool2d`, which does. A subsequent ReLU aliases in either case.

    The layer has no parameters and no state. A run's ``macs`` do not include the Fourier
    transforms.

    Args:
        channels: Channels of ``x`` (any number is accepted in ``forward``).
        stride: Subsampling factor.
        padding: The network's padding; feature maps are periodic only with ``circular``.
        nyquist: ``keep`` as released, or ``remove``.
        max_first: Whether a maximum precedes it at pooling sites.

    Raises:
        UsageError: If ``nyquist`` is neither.
    """

    stride: int
    pad = "circular"

    def __init__(
        self,
        channels: int,
        stride: int = 2,
        padding: str = "zeros",
        nyquist: str = "keep",
        max_first: bool | None = None,
    ) -> None:
        super().__init__()
        require_one_of("pool.nyquist", nyquist, NYQUIST)
        self._choose_max_first(max_first)
        self.stride, self.nyquist = stride, nyquist

    def forward(self, x: Tensor) -> Tensor:
        """Filter and subsample ``x``."""
        return self._filtered(x, self._smaller(x))

    def all_phases(self, x: Tensor) -> Tensor:
        """Filter ``x`` and keep every sampling grid, ``-> (N·s², C, H/s, W/s)``."""
        filtered = self._filtered(x, (x.shape[2], x.shape[3]))
        return space_to_batch(filtered, (self.stride, self.stride))

    def _filtered(self, x: Tensor, samples: Size) -> Tensor:
        keep = low_pass if self.nyquist == "remove" else one_sided_low_pass
        return keep(x, self._smaller(x), samples)

    def _smaller(self, x: Tensor) -> Size:
        return -(-x.shape[2] // self.stride), -(-x.shape[3] // self.stride)

    def extra_repr(self) -> str:
        """Return the settings for ``print(model)``."""
        return f"stride={self.stride}, nyquist={self.nyquist}"
