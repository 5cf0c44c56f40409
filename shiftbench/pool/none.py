"""No subsampling: the exactly shift-invariant control."""

from __future__ import annotations

from torch import Tensor

from shiftbench.pool.base import Downsampling


class NoPool2d(Downsampling):
    """Keep every sample; the only pooling is the global one in the head (``pool=global``).

    ``x: (N, C, H, W) -> (N, C, H, W)``. With circular padding and a global head, the network is
    exactly invariant to circular shifts, trained or not (Azulay & Weiss, arXiv 1805.12177, sec. 3).
    Every stage is computed at the resolution of the first one, which increases the cost.
    """

    stride = 1
    needs_global_head = True

    def __init__(self, channels: int, stride: int = 2, padding: str = "zeros") -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x``."""
        return x
