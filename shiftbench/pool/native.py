"""No pool at all: an external network keeps its own downsampling (``pool=native``)."""

from __future__ import annotations

from torch import Tensor

from shiftbench.pool.base import Downsampling


class Native(Downsampling):
    """A placeholder for an external network's own downsampling; never part of a network.

    It is the default for external networks. The networks of this package have no downsampling
    other than their pools and therefore reject it.
    """

    is_native = True

    def __init__(self, channels: int, stride: int = 2, padding: str = "zeros") -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        """Raise an error: the placeholder computes nothing."""
        raise NotImplementedError("pool=native is not a layer")
