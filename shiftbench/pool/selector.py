"""A small network that rates the sampling grids of a feature map."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from shiftbench.errors import require_within
from shiftbench.ops.autocast import at_least_single
from shiftbench.ops.geometry import space_to_batch
from shiftbench.ops.padding import conv2d
from shiftbench.pool.polyphase import whole_cells


class GridSelector(nn.Module):
    """Rate each of the s² grids of a map by the same network (Rojas-Gomez et al., 2210.08001).

    ``x: (N, C, H, W) -> (N, s²)``: two 3×3 convolutions with a ReLU between them, and the mean over
    channels and positions. As all grids share the network, a circular shift of ``x`` permutes the
    ratings as it does the grids; exactly with circular padding, if s divides the sides.

    Args:
        channels: C.
        stride: s.
        padding: Of the convolutions.
        width: Channels of the convolutions as a share of C; at least one.

    Raises:
        UsageError: If ``width`` is out of range.
    """

    def __init__(self, channels: int, stride: int, padding: str, width: float) -> None:
        super().__init__()
        require_within("pool.selector_width", width, 0, 8)
        hidden = max(1, round(width * channels))
        self.stride = stride
        self.first = conv2d(channels, hidden, 3, 1, padding)
        self.second = conv2d(hidden, hidden, 3, 1, padding)

    def forward(self, x: Tensor) -> Tensor:
        """Return the ratings, in float32 or more."""
        grids = space_to_batch(whole_cells(x, self.stride), (self.stride, self.stride))
        rated = at_least_single(self.second(F.relu(self.first(grids))))
        return rated.mean((1, 2, 3)).view(len(x), -1)
