"""Max pooling, the usual choice of VGG."""

from __future__ import annotations

from torch import nn

from shiftbench.pool.base import Downsampling


class MaxPool2d(nn.MaxPool2d, Downsampling):
    """Largest value of each ``stride``×``stride`` cell: invariant inside a cell, then subsampled.

    ``x: (N, C, H, W) -> (N, C, ceil(H/s), ceil(W/s))``; an odd edge is a cell of its own,
    so that every pool leaves maps of one size. Commutes with circular shifts only
    when they are multiples of the stride.
    """

    stride: int

    def __init__(self, channels: int, stride: int = 2, padding: str = "zeros") -> None:
        super().__init__(kernel_size=stride, stride=stride, ceil_mode=True)
