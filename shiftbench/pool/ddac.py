"""Adaptive low-pass filters before subsampling (Zou et al., arXiv 2008.09604)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shiftbench.errors import UsageError, require_one_of, require_within
from shiftbench.ops.autocast import at_least_single
from shiftbench.ops.geometry import space_to_batch
from shiftbench.ops.padding import pad2d
from shiftbench.ops.weighted_window import weighted_sum
from shiftbench.pool.base import Downsampling

NORMALISE = ("group", "joint")
SIZES = (3, 5)


class AdaptiveBlur2d(Downsampling):
    """A filter that the content predicts for every pixel and group of channels (``pool=ddac``).

    ``x: (N, C, H, W) -> (N, C, ceil(H/s), ceil(W/s))``. A k×k convolution with BatchNorm predicts
    the filters; a softmax makes their taps positive. The layer is shift-equivariant at stride 1,
    with circular padding exactly; the subsampling after it is plain, so that it has no guarantee.

    Filters are predicted only where a sample is kept. The released code predicts them at every
    pixel and drops three of four: the same output at a higher cost, except that batch statistics in
    training are those of all pixels. A run's ``macs`` count the
    prediction, not the k² multiply-adds of the filter itself.

    Args:
        channels: Channels of ``x``.
        stride: Subsampling factor.
        padding: The network's padding; the filter reflects unless it is ``circular``.
        filter_size: k, 3 or 5.
        groups: Sets of filters for each pixel; at most, as a divisor of the channels.
        normalise: ``group``: the taps of each filter sum to 1, as in the paper's text; ``joint``:
            those of all groups together, as in the released code, where a filter sums to 1/groups
            on average.

    Raises:
        UsageError: If a value is not allowed.
    """

    stride: int
    max_first = True
    has_parameters = True

    def __init__(
        self,
        channels: int,
        stride: int = 2,
        padding: str = "zeros",
        filter_size: int = 3,
        groups: int = 8,
        normalise: str = "group",
    ) -> None:
        super().__init__()
        if filter_size not in SIZES:
            raise UsageError(f"pool.filter_size={filter_size} is not a size of ddac; allowed: 3, 5")
        require_one_of("pool.normalise", normalise, NORMALISE)
        require_within("pool.groups", groups, 1, 4096)
        self.stride, self.filter_size, self.normalise = stride, filter_size, normalise
        self.groups = math.gcd(groups, channels)
        self.pad = "circular" if padding == "circular" else "reflect"
        taps = self.groups * filter_size**2
        self.predict = nn.Conv2d(channels, taps, filter_size, bias=False)
        nn.init.kaiming_normal_(self.predict.weight, mode="fan_out", nonlinearity="relu")
        self.norm = nn.BatchNorm2d(taps)

    def forward(self, x: Tensor) -> Tensor:
        """Filter and subsample ``x``."""
        return self._filtered(x, self.stride)

    def all_phases(self, x: Tensor) -> Tensor:
        """Filter ``x`` and keep every sampling grid, ``-> (N·s², C, H/s, W/s)``."""
        return space_to_batch(self._filtered(x, 1), (self.stride, self.stride))

    def _filtered(self, x: Tensor, stride: int) -> Tensor:
        half = self.filter_size // 2
        padded = pad2d(x, (half, half, half, half), self.pad)
        logits = self.norm(F.conv2d(padded, self.predict.weight, stride=stride))
        weights = self._softmax(at_least_single(logits))
        return weighted_sum(padded, weights.to(padded.dtype), stride).to(x.dtype)

    def _softmax(self, logits: Tensor) -> Tensor:
        """Return the taps ``(N, g, k², h, w)`` of the filters."""
        if self.normalise == "joint":
            logits = torch.softmax(logits, 1)
        taps = logits.unflatten(1, (self.groups, self.filter_size**2))
        return taps if self.normalise == "joint" else torch.softmax(taps, 2)

    def extra_repr(self) -> str:
        """Return the settings for ``print(model)``."""
        return (
            f"filter_size={self.filter_size}, stride={self.stride}, groups={self.groups}, "
            f"normalise={self.normalise}, pad={self.pad}"
        )
