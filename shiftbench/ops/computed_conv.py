"""Convolutions whose filters are computed from their parameters in every forward pass."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shiftbench.ops.padding import FULL, of_layer, pad2d


class ComputedConv2d(nn.Module):
    """A bias-free convolution with the filters that :meth:`filters` returns.

    ``x: (N, in, H, W) -> (N, out, ceil(H/s), ceil(W/s))``; with full padding, H + kernel_size − 1
    pixels in place of H. It is not an ``nn.Conv2d``, whose weights a network draws after its layers
    are made. The filters are computed once in each forward pass, also in eval mode: that takes less
    than the convolution of a single image, and nothing can be out of date.

    Args:
        kernel_size: Side of the filters in pixels, odd.
        stride: s.
        padding: The network's padding.
    """

    def __init__(self, kernel_size: int, stride: int, padding: str) -> None:
        super().__init__()
        self.kernel_size, self.stride, self.padding_mode = kernel_size, stride, of_layer(padding)
        self.border = kernel_size - 1 if padding == FULL else kernel_size // 2

    def filters(self) -> Tensor:
        """Return the filters ``(out, in, kernel_size, kernel_size)``."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolution."""
        with torch.autocast(x.device.type, enabled=False):
            weight = self.filters()
        if x.is_contiguous(memory_format=torch.channels_last):
            weight = weight.contiguous(memory_format=torch.channels_last)
        if self.padding_mode == "zeros":
            return F.conv2d(x, weight, None, self.stride, self.border)
        padded = pad2d(x, (self.border,) * 4, self.padding_mode)
        return F.conv2d(padded, weight, None, self.stride)

    def extra_repr(self) -> str:
        """Return the settings for ``print(model)``."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, pad={self.padding_mode}"
