"""Pools with a small network that rates the sampling grids of a feature map."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from shiftbench.errors import UsageError, require_within
from shiftbench.ops.autocast import at_least_single
from shiftbench.ops.geometry import space_to_batch
from shiftbench.ops.padding import conv2d
from shiftbench.pool.base import Downsampling
from shiftbench.pool.blur import BlurPool2d
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


class RatingPool2d(Downsampling):
    """What pools with a selector have in common.

    The shortcut of a residual block has no selector; it takes the grid or weights of the main
    branch. ``train.weight_decay`` does not apply to selectors.

    Args:
        channels: Channels of the maps.
        stride: Subsampling factor.
        padding: The network's padding, also of the selector.
        selector_width: Channels of the selector as a share of ``channels``, up to 8.
        filter_size: Taps of a binomial blur before the subsampling, 1 to 7; 1 is no blur. Grids are
            rated on the map before the blur.

    Raises:
        UsageError: If a value is out of range.
    """

    stride: int
    max_first = True
    has_parameters = True
    weight_decay = False

    def __init__(
        self, channels: int, stride: int, padding: str, selector_width: float, filter_size: int
    ) -> None:
        super().__init__()
        require_within("pool.filter_size", filter_size, 1, 7)
        self.stride, self.pad = stride, padding
        self.selector: GridSelector | None = GridSelector(channels, stride, padding, selector_width)
        self.blur: nn.Module = nn.Identity()
        if filter_size > 1:
            self.blur = BlurPool2d(channels, 1, padding, filter_size)

    def ratings(self, x: Tensor) -> Tensor:
        """Return the selector's rating ``(N, s²)`` of every grid.

        Raises:
            UsageError: If it is a shortcut, whose grid the main branch selects.
        """
        if self.selector is None:
            raise UsageError(
                f"a {type(self).__name__} in a shortcut selects no grid; call forward(x, phase) "
                "with the phase of the main branch"
            )
        rated: Tensor = self.selector(x)
        return rated

    def follow_main_branch(self) -> None:
        """Drop the selector."""
        self.selector = None

    def _filtered(self, x: Tensor) -> Tensor:
        """Return the map whose grids are kept or mixed, of whole cells."""
        return whole_cells(self.blur(x), self.stride)
