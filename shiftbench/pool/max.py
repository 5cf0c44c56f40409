"""Max pooling, as in the original VGG networks."""

from __future__ import annotations

from torch import nn

from shiftbench.pool.base import Downsampling


class MaxPool2d(nn.MaxPool2d, Downsampling):
    """Maximum of each ``stride``×``stride`` cell, unaffected by movements within the cell.

    ``x: (N, C, H, W) -> (N, C, ceil(H/s), ceil(W/s))``; an incomplete cell at the border counts as
    a cell, so that the output size is the same for all pools. Commutes only with circular shifts
    by multiples of the stride.
    """

    stride: int

    def __init__(self, channels: int, stride: int = 2, padding: str = "zeros") -> None:
        super().__init__(kernel_size=stride, stride=stride, ceil_mode=True)
