"""SoftPool: a mean weighted by exponentials (Stergiou et al., arXiv 2101.00440)."""

from __future__ import annotations

from torch import Tensor

from shiftbench.ops import cells
from shiftbench.ops.autocast import at_least_single
from shiftbench.ops.geometry import rolls_to_batch
from shiftbench.pool.base import Downsampling


class SoftPool2d(Downsampling):
    """Σ eˣ x / Σ eˣ over each ``stride``×``stride`` cell, for every activation by itself.

    ``x: (N, C, H, W) -> (N, C, ceil(H/s), ceil(W/s))``; an incomplete cell at the border counts as
    a cell. Between mean (small differences) and maximum (large ones). Commutes only with circular
    shifts by multiples of the stride. The layer has no parameters and no state.

    Args:
        channels: Channels of ``x`` (any number is accepted in ``forward``).
        stride: Subsampling factor, and size of a cell.
        padding: The network's padding, of which it has none.
        max_first: Whether a maximum precedes it at pooling sites.
    """

    stride: int

    def __init__(
        self,
        channels: int,
        stride: int = 2,
        padding: str = "zeros",
        max_first: bool | None = None,
    ) -> None:
        super().__init__()
        self._choose_max_first(max_first)
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Return the weighted mean of every cell."""
        values = at_least_single(x)
        # Of any common factor of the weights the result is independent; this one avoids overflow.
        largest = cells.largest(values.detach(), self.stride)
        size = (x.shape[2], x.shape[3])
        weights = (values - cells.spread(largest, self.stride, size)).exp()
        weighted = cells.mean(weights * values, self.stride)
        return (weighted / cells.mean(weights, self.stride)).to(x.dtype)

    def all_phases(self, x: Tensor) -> Tensor:
        """Return the weighted means on every sampling grid, ``-> (N·s², C, H/s, W/s)``."""
        return self.forward(rolls_to_batch(x, (self.stride, self.stride), -1))

    def extra_repr(self) -> str:
        """Return the settings for ``print(model)``."""
        return f"stride={self.stride}"
