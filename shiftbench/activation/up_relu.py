"""A ReLU between two ideal filters (as in Karras et al., arXiv 2106.12423, sec. 3.1)."""

from __future__ import annotations

from torch import Tensor

from shiftbench.activation.base import Activation
from shiftbench.activation.oversampled import oversampled, require_torus
from shiftbench.errors import require_within


class UpReLU(Activation):
    """A ReLU of an oversampled feature map, filtered and sampled again.

    ``x: (N, C, H, W) -> (N, C, H, W)`` on a torus. The finer the grid, the fewer of the frequencies
    that a ReLU generates alias into those that are kept: with growing ``factor`` it approaches a
    layer that commutes with fractional shifts, which it never reaches. It commutes with
    shifts by multiples of 1/``factor`` pixels of its own map, and with whole ones if ``factor`` is
    whole. A run's ``macs`` do not include the Fourier transforms.

    Args:
        channels: Channels of ``x``.
        padding: The network's padding.
        factor: Of the sampling rate, 1 to 8.

    Raises:
        UsageError: If ``padding`` is not ``circular``, or ``factor`` is out of range.
    """

    def __init__(self, channels: int, padding: str = "zeros", factor: float = 2.0) -> None:
        super().__init__()
        require_torus("up_relu", padding)
        require_within("activation.factor", factor, 1, 8)
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """Return the filtered ReLU."""
        return oversampled(x, Tensor.relu, self.factor)

    def extra_repr(self) -> str:
        """Return the settings for ``print(model)``."""
        return f"factor={self.factor}"
