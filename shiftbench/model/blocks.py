"""Common parts of the networks: convolution block, downsampling step, seeded weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from shiftbench.errors import UsageError, require_one_of
from shiftbench.model.evaluating import evaluating
from shiftbench.ops.max_filter import StrideOneMax2d
from shiftbench.ops.padding import conv2d, of_layer

if TYPE_CHECKING:
    from shiftbench.activation import Activation
    from shiftbench.pool import Downsampling

# Channels of a first stage; at this width a network may already exceed the memory.
MAX_WIDTH = 4096

# Of a downsampling step: behind the activation of the convolution that a strided network would give
# its stride (Zhang, arXiv 1904.11486), or before that convolution, which then costs as much as a
# strided one (Grabinski et al., arXiv 2204.00491).
PLACEMENTS = ("after", "before")

MakePool = Callable[..., "Downsampling"]
MakeActivation = Callable[..., "Activation"]
MakeHead = Callable[[int, tuple[int, int], int], nn.Module]


def conv_block(
    in_chans: int,
    out_chans: int,
    padding: str,
    stride: int = 1,
    activation: MakeActivation | None = None,
) -> list[nn.Module]:
    """Return 3×3 convolution, BatchNorm, activation (ReLU by default)."""
    return [
        conv2d(in_chans, out_chans, 3, stride, padding),
        nn.BatchNorm2d(out_chans),
        nn.ReLU(inplace=True) if activation is None else activation(out_chans, padding=padding),
    ]


def conv_stride(pool: Downsampling | None) -> int:
    """Return the stride of the convolution before ``pool``: 1 except for ``pool=stride``."""
    return 1 if pool is None else pool.conv_stride


def site_stride(pool: Downsampling) -> int:
    """Return the factor by which ``pool``'s downsampling step reduces the feature map."""
    return pool.stride[0] if isinstance(pool.stride, tuple) else pool.stride


def pooling_site(pool: Downsampling, padding: str) -> list[nn.Module]:
    """Return a downsampling step, with the running maximum that its pool may require."""
    return [StrideOneMax2d(of_layer(padding)), pool] if pool.max_first else [pool]


def refuse_max_first(pool: Downsampling, model: str) -> None:
    """Refuse a maximum that a setting asks for in a network that has no place for it.

    Raises:
        UsageError: If ``pool.max_first=true`` was given.
    """
    if pool.max_first and pool.max_first_is_set:
        raise UsageError(
            f"pool.max_first=true puts a maximum before the pools of a vgg, and model={model} has "
            "no place for it; leave it away"
        )


def check_placement(placement: str, pool: Downsampling | None) -> None:
    """Refuse an unknown placement, and ``before`` for a pool that does not do the subsampling.

    Raises:
        UsageError: With the allowed values.
    """
    require_one_of("model.placement", placement, PLACEMENTS)
    if placement == "after" or pool is None:
        return
    if pool.conv_stride > 1 or site_stride(pool) == 1:
        raise UsageError(
            "model.placement=before moves the pool before a convolution, but a "
            f"{type(pool).__name__} subsamples nothing itself; leave it away"
        )


def subsample_together(
    pool: Downsampling, y: Tensor, shortcut_pool: Downsampling, x: Tensor
) -> tuple[Tensor, Tensor]:
    """Subsample both branches of a residual block; a content-dependent grid is selected on ``y``.

    Weights of all grids, which a pool may return instead of a grid, are shared in the same way. A
    shortcut on another grid would add features that are one pixel apart.
    """
    if not pool.picks_grid:
        return pool(y), shortcut_pool(x)
    phase = pool.phase(y)
    return pool(y, phase), shortcut_pool(x, phase)


@torch.no_grad()
def is_additive(pool: nn.Module, channels: int) -> bool:
    """Whether the pool of a sum is the sum of the pools, tested on random feature maps."""
    # Many, since two maps may select the same phase by chance.
    x, y = torch.randn(2, 16, channels, 8, 8, generator=torch.Generator().manual_seed(0))
    return torch.allclose(pool(x + y), pool(x) + pool(y), atol=1e-4)


def map_size(
    model: nn.Module,
    features: Callable[[Tensor], Tensor],
    in_chans: int,
    image_size: tuple[int, int],
) -> tuple[int, int]:
    """Return ``(h, w)`` of the last feature map, from one empty image through ``features``."""
    with evaluating(model), torch.no_grad():
        height, width = features(torch.zeros(1, in_chans, *image_size)).shape[-2:]
    return int(height), int(width)


def init_weights(model: nn.Module, nonlinearity: Literal["relu", "linear"] = "relu") -> None:
    """Draw He-normal convolution weights (arXiv 1502.01852) from torch's current random stream."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity=nonlinearity)


def total_stride(pools: list[Downsampling]) -> int:
    """Return the product of the strides of all downsampling steps."""
    return math.prod(site_stride(pool) for pool in pools)
