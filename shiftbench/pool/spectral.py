"""What the pools have in common that filter by Fourier transforms."""

from __future__ import annotations

from torch import Tensor

from shiftbench.ops.geometry import space_to_batch
from shiftbench.ops.low_pass import Size
from shiftbench.pool.base import Downsampling


class SpectralPool2d(Downsampling):
    """A low-pass filter on a torus, then subsampling; a subclass implements :meth:`filtered`.

    ``x: (N, C, H, W) -> (N, C, ceil(H/s), ceil(W/s))``. Without parameters and state. A run's
    ``macs`` do not include the Fourier transforms.

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

    def filtered(self, x: Tensor, carried: Size, samples: Size) -> Tensor:
        """Return the frequencies of ``x`` that ``carried`` samples represent, on ``samples``."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Filter and subsample ``x``."""
        smaller = self._smaller(x)
        return self.filtered(x, smaller, smaller)

    def all_phases(self, x: Tensor) -> Tensor:
        """Filter ``x`` and keep every sampling grid, ``-> (N·s², C, H/s, W/s)``."""
        filtered = self.filtered(x, self._smaller(x), (x.shape[2], x.shape[3]))
        return space_to_batch(filtered, (self.stride, self.stride))

    def _smaller(self, x: Tensor) -> Size:
        return -(-x.shape[2] // self.stride), -(-x.shape[3] // self.stride)

    def extra_repr(self) -> str:
        """Return the settings for ``print(model)``."""
        return f"stride={self.stride}"
