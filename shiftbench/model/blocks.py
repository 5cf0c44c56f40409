"""What the networks share: the convolution block, the pooling site, seeded weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from shiftbench.model.evaluating import evaluating
from shiftbench.ops.padding import conv2d

# Channels of a first stage; already here a network's weights may take more than the memory.
MAX_WIDTH = 4096

MakePool = Callable[..., nn.Module]
MakeHead = Callable[[int, tuple[int, int], int], nn.Module]


def conv_block(in_chans: int, out_chans: int, padding: str, stride: int = 1) -> list[nn.Module]:
    """Return 3×3 convolution, BatchNorm, ReLU."""
    return [
        conv2d(in_chans, out_chans, 3, stride, padding),
        nn.BatchNorm2d(out_chans),
        nn.ReLU(inplace=True),
    ]


def conv_stride(pool: nn.Module | None) -> int:
    """Return the stride of the convolution before ``pool``: 1 but for ``pool=stride``."""
    return int(getattr(pool, "conv_stride", 1))


def site_stride(pool: nn.Module) -> int:
    """Return how much smaller the map becomes at ``pool``'s site."""
    stride = getattr(pool, "stride", 2)
    return int(stride[0] if isinstance(stride, tuple) else stride)


def subsample_together(
    pool: nn.Module, y: Tensor, shortcut_pool: nn.Module, x: Tensor
) -> tuple[Tensor, Tensor]:
    """Subsample both branches of a residual block; a content-chosen grid is chosen once, on ``y``.

    A shortcut on another grid would add features that are a pixel apart.
    """
    pick = getattr(pool, "phase", None)
    if pick is None:
        return pool(y), shortcut_pool(x)
    phase = pick(y)
    return pool(y, phase), shortcut_pool(x, phase)


def map_size(
    model: nn.Module,
    features: Callable[[Tensor], Tensor],
    in_chans: int,
    image_size: tuple[int, int],
) -> tuple[int, int]:
    """Return ``(h, w)`` of the last map, found by running one empty image through ``features``."""
    with evaluating(model), torch.no_grad():
        height, width = features(torch.zeros(1, in_chans, *image_size)).shape[-2:]
    return int(height), int(width)


def init_weights(model: nn.Module, nonlinearity: Literal["relu", "linear"] = "relu") -> None:
    """Draw He-normal convolution weights (arXiv 1502.01852) from torch's current random stream."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity=nonlinearity)


def total_stride(pools: list[nn.Module]) -> int:
    """Return the product of the strides of all downsampling sites."""
    return math.prod(site_stride(pool) for pool in pools)
