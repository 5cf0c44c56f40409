"""VGG with BatchNorm (Simonyan & Zisserman, arXiv 1409.1556), in its form for small images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from torch import Tensor, nn

from shiftbench.errors import UsageError, require_within
from shiftbench.model import blocks

if TYPE_CHECKING:
    from shiftbench.pool import Downsampling

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
        padding: ``zeros``, ``circular``, ``reflect`` or ``full``.
        depth: Number of convolutions, 8 to 16 (8, 10, 13, 16 are VGG-11, -13, -16, -19).
        width: Channels of the first stage; the others have 2, 4, 8 and 8 times as many.
        downsamplings: Steps that halve the feature map, 0 to 5; by default as many as keep the last
            feature map at 4×4 or more: three at 32 px, VGG's five from 128 px on.
        placement: ``after`` (behind the last convolution of a stage and its activation) or
            ``before`` that convolution; with ``depth`` 8 and 9, the first step then reduces the
            image.
        activation: Makes the layer behind every BatchNorm, ``activation(channels, padding=...)``;
            by default a ReLU.

    Raises:
        UsageError: If an argument is out of range.
    """

    # After each convolution; its initial weights depend on it.
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
        placement: str = "after",
        activation: blocks.MakeActivation | None = None,
    ) -> None:
        super().__init__()
        if downsamplings is None:
            downsamplings = _most_downsamplings(min(image_size))
        _check(depth, width, downsamplings)
        channels = [width * factor for factor in (1, 2, 4, 8, 8)]
        self.placement, self.make_activation = placement, activation
        inputs = _inputs_of_steps(in_chans, channels, depth, placement)
        pools = [pool(inputs[stage], padding=padding) for stage in range(downsamplings)]
        blocks.check_placement(placement, pools[0] if pools else None)
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
        """Return the last feature map ``(N, C, h, w)``."""
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
        pool: Downsampling | None,
        padding: str,
    ) -> list[nn.Module]:
        """Return a stage's convolution blocks and its downsampling step."""
        layers: list[nn.Module] = []
        for index in range(convolutions):
            last = index == convolutions - 1
            stride = blocks.conv_stride(pool) if last else 1
            convolution = self._convolution(in_chans, out_chans, padding, stride)
            if last and pool is not None:
                before = self.placement == "before"
                site = self._site(pool, in_chans if before else out_chans, padding)
                convolution = site + convolution if before else convolution + site
            layers += convolution
            in_chans = out_chans
        return layers

    def _convolution(
        self, in_chans: int, out_chans: int, padding: str, stride: int
    ) -> list[nn.Module]:
        """Return a convolution and the layers that belong to it."""
        return blocks.conv_block(in_chans, out_chans, padding, stride, self.make_activation)

    def _site(self, pool: Downsampling, channels: int, padding: str) -> list[nn.Module]:
        """Return a downsampling step, with the running maximum that its pool may require."""
        return blocks.pooling_site(pool, padding)


def _inputs_of_steps(
    in_chans: int, channels: Sequence[int], depth: int, placement: str
) -> list[int]:
    """Return the channels of the feature map that the downsampling step of each stage reduces."""
    if placement == "after":
        return list(channels)
    before = [in_chans, *channels]
    counts = zip(STAGES[depth], before, channels, strict=False)
    return [first if convolutions == 1 else later for convolutions, first, later in counts]


def _most_downsamplings(size: int) -> int:
    return min(5, max(0, (size // MIN_MAP).bit_length() - 1))


def _check(depth: int, width: int, downsamplings: int) -> None:
    if depth not in STAGES:
        raise UsageError(f"model.depth={depth} is out of range; vgg has 8 to 16 convolutions")
    require_within("model.width", width, 1, blocks.MAX_WIDTH)
    require_within("model.downsamplings", downsamplings, 0, 5)
