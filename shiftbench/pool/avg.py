"""Average pooling."""

from __future__ import annotations

from torch import nn

from shiftbench.pool.base import Downsampling


class AvgPool2d(nn.AvgPool2d, Downsampling):
    """Mean of each ``stride``×``stride`` cell: the shortest low-pass filter and subsampling.

    ``x: (N, C, H, W) -> (N, C, ceil(H/s), ceil(W/s))``; an incomplete cell at the border counts as
    a cell, so that the output size is the same for all pools. With stride 2, equal to blur with
    ``filter_size=2`` without the preceding maximum, which ``max_first`` adds.
    """

    stride: int

    def __init__(
        self,
        channels: int,
        stride: int = 2,
        padding: str = "zeros",
        max_first: bool | None = None,
    ) -> None:
        super().__init__(kernel_size=stride, stride=stride, ceil_mode=True)
        self._choose_max_first(max_first)
