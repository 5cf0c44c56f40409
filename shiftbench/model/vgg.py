"""VGG with BatchNorm (Simonyan & Zisserman, arXiv 1409.1556), in the form used for small images."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from shiftbench.errors import UsageError, require_within
from shiftbench.model import blocks
from shiftbench.ops.max_filter import StrideOneMax2d

# Convolutions per stage; 8, 10, 13 and 16 are the stacks of VGG-11, -13, -16 and -19.
STAGES = {
    8: (1, 1, 2, 2, 2),
    9: (1, 2, 2, 2, 2),
    10: (2, 2, 2, 2, 2),
    11: (2, 2, 2, 2, 3),
    12: (2, 2, 2, 3, 3),
    13: (2, 2, 3, 3, 3),
    14: (2, 2, 3, 3, 4),
    15: (2, 2, 3, 4, 4),
    16: (2, 2, 4, 4, 4),
}
MIN_MAP = 4


class VGG(nn.Module):
    """Five stages of 3×3 convolutions, a downsampling step after the first few, a linear head.

    ``x: (N, in_chans, H, W) -> (N, num_classes)``.

    Args:
        num_classes: Number of logits.
        in_chans: Channels of the images.
        image_size: ``(H, W)`` of the images.
        pool: Makes a downsampling layer, ``pool(channels, padding=...)``.
        head: Makes the classifier, ``head(in_chans, map_size, num_classes)``.
        padding: ``zeros``, ``circular`` or ``reflect``.
        depth: Number of convolutions, 8 to 16 (8, 10, 13, 16 are VGG-11, -13, -16, -19).
        width: Channels of the first stage; the others have 2, 4, 8 and 8 times as many.
        downsamplings: Steps that halve the map, 0 to 5; by default as many as leave a last map
            of at least 4×4: three at 32 px, VGG's five from 128 px on.

    Raises:
        UsageError: If an argument is out of range.
    """

    # After each convolution; the spread of its first weights depends on it.
    nonlinearity: Literal["relu", "linear"] = "relu"

    def __init__(
        self,
        num_classes: int,
        in_chans: int,
        image_size: tuple[int, int],
        pool: blocks.MakePool,
        head: blocks.MakeHead,
        padding: str = "zeros",
        depth: int = 8,
        width: int = 16,
        downsamplings: int | None = None,
    ) -> None:
        super().__init__()
        if downsamplings is None:
            downsamplings = _most_downsamplings(min(image_size))
        _check(depth, width, downsamplings)
        channels = [width * factor for factor in (1, 2, 4, 8, 8)]
        pools = [pool(channels[stage], padding=padding) for stage in range(downsamplings)]
        layers: list[nn.Module] = []
        chans = in_chans
        for stage, convolutions in enumerate(STAGES[depth]):
            site = pools[stage] if stage < downsamplings else None
            layers += self._stage(chans, channels[stage], convolutions, site, padding)
            chans = channels[stage]
        self.features = nn.Sequential(*layers)
        self.total_stride = blocks.total_stride(pools)
        size = blocks.map_size(self, self.features, in_chans, image_size)
        self.head = head(chans, size, num_classes)
        blocks.init_weights(self, self.nonlinearity)

    def forward_features(self, x: Tensor) -> Tensor:
        """Return the last map ``(N, C, h, w)``."""
        features: Tensor = self.features(x)
        return features

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        logits: Tensor = self.head(self.forward_features(x))
        return logits

    def _stage(
        self,
        in_chans: int,
        out_chans: int,
        convolutions: int,
        pool: nn.Module | None,
        padding: str,
    ) -> list[nn.Module]:
        """Return a stage's convolution blocks, its downsampling step included."""
        layers: list[nn.Module] = []
        for index in range(convolutions):
            last = index == convolutions - 1
            stride = blocks.conv_stride(pool) if last else 1
            layers += self._convolution(in_chans, out_chans, padding, stride)
            in_chans = out_chans
        return layers if pool is None else layers + self._site(pool, out_chans, padding)

    def _convolution(
        self, in_chans: int, out_chans: int, padding: str, stride: int
    ) -> list[nn.Module]:
        """Return a convolution with what follows it."""
        return blocks.conv_block(in_chans, out_chans, padding, stride)

    def _site(self, pool: nn.Module, channels: int, padding: str) -> list[nn.Module]:
        """Return a downsampling step, with the running maximum that its pool may ask for."""
        if getattr(pool, "max_first", False):
            return [StrideOneMax2d(padding), pool]
        return [pool]


def _most_downsamplings(size: int) -> int:
    return min(5, max(0, (size // MIN_MAP).bit_length() - 1))


def _check(depth: int, width: int, downsamplings: int) -> None:
    if depth not in STAGES:
        raise UsageError(f"model.depth={depth} is out of range; vgg has 8 to 16 convolutions")
    require_within("model.width", width, 1, blocks.MAX_WIDTH)
    require_within("model.downsamplings", downsamplings, 0, 5)
