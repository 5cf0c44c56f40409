"""Weighted means of the ``stride``×``stride`` cells of a feature map."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def mean(x: Tensor, stride: int) -> Tensor:
    """Return the mean of every cell, ``(N, C, H, W) -> (N, C, ceil(H/s), ceil(W/s))``."""
    return F.avg_pool2d(x, stride, stride, ceil_mode=True)


def largest(x: Tensor, stride: int) -> Tensor:
    """Return the maximum of every cell, ``(N, C, H, W) -> (N, C, ceil(H/s), ceil(W/s))``."""
    return F.max_pool2d(x, stride, stride, ceil_mode=True)


def spread(values: Tensor, stride: int, size: tuple[int, int]) -> Tensor:
    """Return for every pixel of a map of ``size`` the value of its cell, ``-> (N, C, *size)``."""
    every = values.repeat_interleave(stride, 2).repeat_interleave(stride, 3)
    return every[:, :, : size[0], : size[1]]
