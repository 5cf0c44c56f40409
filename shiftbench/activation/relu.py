"""The rectified linear unit."""

from __future__ import annotations

from torch import nn

from shiftbench.activation.base import Activation


class ReLU(nn.ReLU, Activation):
    """max(x, 0), in place; the default.

    ``x: (N, C, H, W) -> (N, C, H, W)``. It generates frequencies that the grid of the map cannot
    represent, so it does not commute with fractional shifts.
    """

    def __init__(self, channels: int, padding: str = "zeros") -> None:
        super().__init__(inplace=True)
