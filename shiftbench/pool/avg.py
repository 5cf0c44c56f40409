"""Average pooling."""

from __future__ import annotations

from torch import nn

from shiftbench.pool.base import Downsampling


class AvgPool2d(nn.AvgPool2d, Downsampling):
    """Mean of each ``stride``×``stride`` cell: the shortest low-pass filter, then subsampled.

    ``x: (N, C, H, W) -> (N, C, ceil(H/s), ceil(W/s))``; an odd edge is a cell of its own,
    so that every pool leaves maps of one size. Equals blur with ``filter_size=2``
    without the maximum before it.
    """

    stride: int

    def __init__(self, channels: int, stride: int = 2, padding: str = "zeros") -> None:
        super().__init__(kernel_size=stride, stride=stride, ceil_mode=True)
