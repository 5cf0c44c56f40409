"""ResNet for small images (He et al., arXiv 1512.03385, sec. 4.2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor, nn

from shiftbench.errors import UsageError, require_within
from shiftbench.model import blocks
from shiftbench.ops.padding import FULL, conv2d

if TYPE_CHECKING:
    from shiftbench.pool import Downsampling

CIFAR_DEPTHS = (20, 32, 44, 56)


class BasicBlock(nn.Module):
    """Two 3×3 convolutions and a shortcut; both branches are subsampled on the same grid.

    ``x: (N, in_chans, H, W) -> (N, out_chans, H/s, W/s)``. The order is convolution,
    BatchNorm, ReLU, pool (as in the publication of blur-pool); the shortcut is pooled, then
    projected by a 1×1 convolution if the shape changes.

    Args:
        in_chans: Channels of the input.
        out_chans: Channels of the output.
        padding: ``zeros``, ``circular``, ``reflect`` or ``full``.
        pools: Of the two branches; with one alone, it reduces the input of both.
        activation: Makes the two non-linearities; by default ReLU.
    """

    def __init__(
        self,
        in_chans: int,
        out_chans: int,
        padding: str,
        pools: Sequence[Downsampling] = (),
        activation: blocks.MakeActivation | None = None,
    ) -> None:
        super().__init__()
        self.pool = pools[0] if pools else None
        self.shortcut_pool = pools[1] if len(pools) > 1 else None
        if self.shortcut_pool is not None:
            self.shortcut_pool.follow_main_branch()
        stride = blocks.conv_stride(self.pool)
        self.conv1 = conv2d(in_chans, out_chans, 3, stride, padding)
        self.bn1 = nn.BatchNorm2d(out_chans)
        self.conv2 = conv2d(out_chans, out_chans, 3, 1, padding)
        self.bn2 = nn.BatchNorm2d(out_chans)
        # As functions, which the layer probe does not list as layers.
        self.inner: Callable[[Tensor], Tensor] = F.relu
        self.outer: Callable[[Tensor], Tensor] = F.relu
        if activation is not None:
            self.inner, self.outer = (activation(out_chans, padding=padding) for _ in range(2))
        self.margin = _margin(pools) if padding == FULL else 0
        self.project: nn.Module = nn.Identity()
        if pools or in_chans != out_chans:
            project = conv2d(in_chans, out_chans, 1, stride, padding)
            self.project = nn.Sequential(project, nn.BatchNorm2d(out_chans))

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output."""
        if self.pool is not None and self.shortcut_pool is None:
            x = self.pool(x)
        y = self.inner(self.bn1(self.conv1(x)))
        x = F.pad(x, (self.margin,) * 4) if self.margin else x
        if self.pool is not None and self.shortcut_pool is not None:
            y, x = blocks.subsample_together(self.pool, y, self.shortcut_pool, x)
        return self.outer(self.bn2(self.conv2(y)) + self.project(x))


def _margin(pools: Sequence[Downsampling]) -> int:
    """Return the zeros around a shortcut where both convolutions of a block make the map grow.

    A pool behind the first convolution also subsamples the pixel by which that one grows.
    """
    return 1 + blocks.site_stride(pools[0]) if len(pools) > 1 else 2


class ResNet(nn.Module):
    """CIFAR ResNet-20/32/44/56 (three stages, total stride 4) or ResNet-18 (four, stride 8).

    ``x: (N, in_chans, H, W) -> (N, num_classes)``. The stem is a 3×3 convolution of stride 1.

    Args:
        num_classes: Number of logits.
        in_chans: Channels of the images.
        image_size: ``(H, W)`` of the images.
        pool: Makes a downsampling layer, ``pool(channels, padding=...)``.
        head: Makes the classifier, ``head(in_chans, map_size, num_classes)``.
        padding: ``zeros``, ``circular``, ``reflect`` or ``full``.
        depth: 18, 20, 32, 44 or 56.
        width: Channels of the first stage; by default 16, or 64 for ResNet-18.
        placement: Of the downsampling in a block: ``after`` the first convolution and its
            activation, or ``before`` it.
        activation: Makes a non-linearity, ``activation(channels, padding=...)``; by default ReLU.

    Raises:
        UsageError: If an argument is out of range.
    """

    def __init__(
        self,
        num_classes: int,
        in_chans: int,
        image_size: tuple[int, int],
        pool: blocks.MakePool,
        head: blocks.MakeHead,
        padding: str = "zeros",
        depth: int = 20,
        width: int | None = None,
        placement: str = "after",
        activation: blocks.MakeActivation | None = None,
    ) -> None:
        super().__init__()
        counts, width = _plan(depth, width)
        _check_activation(activation, padding)
        stem = blocks.conv_block(in_chans, width, padding, activation=activation)
        self.stem = nn.Sequential(*stem)
        sites: list[Downsampling] = []
        layers: list[nn.Module] = []
        chans = width
        for stage, count in enumerate(counts):
            out_chans = width * 2**stage
            for index in range(count):
                pools: list[Downsampling] = []
                if stage > 0 and index == 0:
                    pools = _pools_of_block(pool, chans, out_chans, padding, placement)
                    sites.append(pools[0])
                layers.append(BasicBlock(chans, out_chans, padding, pools, activation))
                chans = out_chans
        self.blocks = nn.Sequential(*layers)
        self.total_stride = blocks.total_stride(sites)
        size = blocks.map_size(self, self.forward_features, in_chans, image_size)
        self.head = head(chans, size, num_classes)
        blocks.init_weights(self)

    def forward_features(self, x: Tensor) -> Tensor:
        """Return the last feature map ``(N, C, h, w)``."""
        features: Tensor = self.blocks(self.stem(x))
        return features

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        logits: Tensor = self.head(self.forward_features(x))
        return logits


def _pools_of_block(
    pool: blocks.MakePool, in_chans: int, out_chans: int, padding: str, placement: str
) -> list[Downsampling]:
    """Return the pools of a block's branches, or the one that reduces the input of both."""
    inputs = (out_chans, in_chans) if placement == "after" else (in_chans,)
    pools = [pool(chans, padding=padding) for chans in inputs]
    blocks.check_placement(placement, pools[0])
    blocks.refuse_max_first(pools[0], "resnet")
    return pools


def _check_activation(make: blocks.MakeActivation | None, padding: str) -> None:
    if make is not None and (one := make(1, padding=padding)).needs_norm:
        raise UsageError(
            f"a {type(one).__name__} needs a norm right before it, which the sum of two branches "
            "in a resnet is not; use model=vgg"
        )


def _plan(depth: int, width: int | None) -> tuple[Sequence[int], int]:
    """Return the blocks per stage and the width of the first stage."""
    if width is not None:
        require_within("model.width", width, 1, blocks.MAX_WIDTH)
    if depth == 18:
        return (2, 2, 2, 2), width or 64
    if depth in CIFAR_DEPTHS:
        return ((depth - 2) // 6,) * 3, width or 16
    raise UsageError(f"model.depth={depth} is not a resnet here; allowed: 18, 20, 32, 44, 56")
