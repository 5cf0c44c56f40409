"""No pool at all: an external network keeps its own downsampling (``pool=native``)."""

from __future__ import annotations

from torch import Tensor

from shiftbench.pool.base import Downsampling


class Native(Downsampling):
    """Marks that a network's own downsampling stays; never part of a network.

    It is the default of external networks; those of ours have no downsampling but
    what ``pool`` gives them, so they refuse it.
    """

    is_native = True

    def __init__(self, channels: int, stride: int = 2, padding: str = "zeros") -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        """Refuse: there is nothing to do here."""
        raise NotImplementedError("pool=native is not a layer")
