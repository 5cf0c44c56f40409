"""Local importance-based pooling (Gao, Wang & Wu, arXiv 1908.04156)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shiftbench.errors import UsageError, require_one_of, require_within
from shiftbench.ops.autocast import at_least_single
from shiftbench.ops.geometry import space_to_batch
from shiftbench.ops.padding import conv2d, pad2d
from shiftbench.pool.base import Downsampling

IMPORTANCE = ("simplified", "bottleneck")
WINDOW = 3
LARGEST = 12.0  # logarithm of the largest importance; the smallest is 1


class LocalImportancePool2d(Downsampling):
    """Mean of each 3×3 window, weighted by an importance that is learned (``pool=lip``).

    ``x: (N, C, H, W) -> (N, C, ceil(H/s), ceil(W/s))``: Σ w·x / Σ w with w = exp(G(x)) for every
    pixel and channel. The last convolution of G begins at 0, so the layer begins as a mean. It is
    shift-equivariant at stride 1, with circular padding exactly; the subsampling after it is plain,
    so that it has no guarantee. It takes the place of a maximum. G normalises over all positions of
    a map: under crops, all weights change a little.

    A run's ``macs`` count the convolutions of G, not the weighted means.

    Args:
        channels: Channels of ``x``.
        stride: Subsampling factor.
        padding: The network's padding.
        importance: G; ``simplified``: a 3×3 convolution; ``bottleneck``: 1×1, 3×3 and 1×1
            convolutions. Each is followed by an InstanceNorm, and G by 12·sigmoid.
        width: Channels between the convolutions of a bottleneck, 1 to 4096.

    Raises:
        UsageError: If a value is not allowed, or a feature map has only one pixel.
    """

    stride: int
    has_parameters = True

    def __init__(
        self,
        channels: int,
        stride: int = 2,
        padding: str = "zeros",
        importance: str = "simplified",
        width: int = 128,
    ) -> None:
        super().__init__()
        require_one_of("pool.importance", importance, IMPORTANCE)
        require_within("pool.width", width, 1, 4096)
        self.stride, self.pad = stride, padding
        if importance == "simplified":
            layers: list[nn.Module] = [_ZeroConv2d(channels, channels, WINDOW, padding)]
        else:
            layers = [
                conv2d(channels, width, 1, 1, padding), nn.InstanceNorm2d(width, affine=True),
                nn.ReLU(inplace=True),
                conv2d(width, width, WINDOW, 1, padding), nn.InstanceNorm2d(width, affine=True),
                nn.ReLU(inplace=True),
                _ZeroConv2d(width, channels, 1, padding),
            ]  # fmt: skip
        self.logits = nn.Sequential(*layers, nn.InstanceNorm2d(channels, affine=True))

    def forward(self, x: Tensor) -> Tensor:
        """Return the weighted means of every ``stride``-th window."""
        return self._means(x, self.stride)

    def all_phases(self, x: Tensor) -> Tensor:
        """Return the weighted means on every sampling grid, ``-> (N·s², C, H/s, W/s)``."""
        return space_to_batch(self._means(x, 1), (self.stride, self.stride))

    def _means(self, x: Tensor, stride: int) -> Tensor:
        if x.shape[2:].numel() == 1:
            raise UsageError(
                "pool=lip compares the positions of a feature map, got a map of 1×1; use larger "
                "images, fewer model.downsamplings or another pool"
            )
        weights = torch.exp(LARGEST * torch.sigmoid(at_least_single(self.logits(x))))
        summed = self._windows(at_least_single(x) * weights, stride)
        return (summed / self._windows(weights, stride)).to(x.dtype)

    def _windows(self, x: Tensor, stride: int) -> Tensor:
        """Return the mean of every ``stride``-th window; pixels outside count as 0."""
        half = WINDOW // 2
        return F.avg_pool2d(pad2d(x, (half, half, half, half), self.pad), WINDOW, stride)

    def extra_repr(self) -> str:
        """Return the settings for ``print(model)``."""
        return f"stride={self.stride}, pad={self.pad}"


class _ZeroConv2d(nn.Module):
    """A bias-free convolution that begins at 0.

    It is not an ``nn.Conv2d``, whose weights a network draws after its layers are made.
    """

    def __init__(self, in_chans: int, out_chans: int, kernel_size: int, padding: str) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(out_chans, in_chans, kernel_size, kernel_size))
        self.padding = padding

    def forward(self, x: Tensor) -> Tensor:
        half = self.weight.shape[-1] // 2
        return F.conv2d(pad2d(x, (half, half, half, half), self.padding), self.weight)
