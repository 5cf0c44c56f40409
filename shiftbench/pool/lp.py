"""Generalised mean: one family from average to maximum (Boureau et al. 2010; arXiv 1711.02512)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from shiftbench.errors import UsageError, require_within
from shiftbench.ops import cells
from shiftbench.ops.autocast import at_least_single
from shiftbench.ops.geometry import rolls_to_batch
from shiftbench.pool.base import Downsampling


class LpPool2d(Downsampling):
    """The generalised mean (mean xᵖ)^(1/p) of each ``stride``×``stride`` cell.

    ``x: (N, C, H, W) -> (N, C, ceil(H/s), ceil(W/s))``; an incomplete cell at the border counts as
    a cell, negative values as 0. With p = 1 it is average pooling, with p → ∞ max pooling, both of
    non-negative maps. Commutes only with circular shifts by multiples of the stride.

    Args:
        channels: Channels of ``x`` (any number is accepted in ``forward``).
        stride: Subsampling factor, and size of a cell.
        padding: The network's padding, of which it has none.
        power: p, 1 to 100; where it is learned, its initial value.
        learned: Whether p is trained, one number for each layer: p = 1 + (power − 1) e^t with the
            parameter t, initially 0.
        max_first: Whether a maximum precedes it at pooling sites.

    Raises:
        UsageError: If ``power`` is out of range, or 1 and to be learned.
    """

    stride: int

    def __init__(
        self,
        channels: int,
        stride: int = 2,
        padding: str = "zeros",
        power: float = 3.0,
        learned: bool = False,
        max_first: bool | None = None,
    ) -> None:
        super().__init__()
        require_within("pool.power", power, 1, 100)
        if learned and power == 1:
            raise UsageError(
                "pool.power=1 cannot be learned from there, where p has no derivative; give a "
                "larger initial value, e.g. pool.power=1.1"
            )
        self._choose_max_first(max_first)
        self.stride, self.initial, self.has_parameters = stride, power, learned
        self.log_growth = nn.Parameter(torch.zeros(())) if learned else None

    @property
    def power(self) -> float | Tensor:
        """The exponent p; a tensor where it is learned."""
        if self.log_growth is None:
            return self.initial
        return 1 + (self.initial - 1) * self.log_growth.exp()

    def forward(self, x: Tensor) -> Tensor:
        """Return the generalised mean of every cell."""
        values = at_least_single(x).clamp_min(0)
        # Relative to the maximum of the cell, powers neither overflow nor underflow. The result
        # does not depend on that scale, so no gradient is needed of it.
        largest = cells.largest(values.detach(), self.stride)
        scale = cells.spread(largest.where(largest > 0, 1.0), self.stride, _size(x))
        powers = (values / scale) ** self.power
        # 1/s² at least, except in a cell of zeros, where the root has no derivative.
        means = cells.mean(powers, self.stride).clamp_min(0.5 / self.stride**2)
        return (largest * means ** (1 / self.power)).to(x.dtype)

    def all_phases(self, x: Tensor) -> Tensor:
        """Return the generalised means on every sampling grid, ``-> (N·s², C, H/s, W/s)``."""
        return self.forward(rolls_to_batch(x, (self.stride, self.stride), -1))

    def extra_repr(self) -> str:
        """Return the settings for ``print(model)``."""
        with torch.no_grad():
            return f"stride={self.stride}, power={float(self.power):.3g}"


def _size(x: Tensor) -> tuple[int, int]:
    return x.shape[2], x.shape[3]
