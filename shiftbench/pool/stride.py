"""Strided convolution: the preceding convolution does the subsampling."""

from __future__ import annotations

from torch import Tensor

from shiftbench.pool.base import Downsampling


class Stride2d(Downsampling):
    """No pooling layer: the preceding convolution has the stride (Springenberg, arXiv 1412.6806).

    ``x: (N, C, H, W) -> (N, C, H, W)``; the preceding convolution does the subsampling and has the
    same parameters as with stride 1, so the number of parameters is the same for all pools.
    """

    def __init__(self, channels: int, stride: int = 2, padding: str = "zeros") -> None:
        super().__init__()
        self.stride = stride
        self.conv_stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x``."""
        return x
