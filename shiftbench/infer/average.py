"""The mean answer over a few shifts: structured or random test-time augmentation."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn

from shiftbench.errors import UsageError, require_one_of, require_within
from shiftbench.infer.base import Infer
from shiftbench.infer.shift_average import ShiftAverage
from shiftbench.seeds import derive_seed

GRID, RANDOM = "grid", "random"
MOST = 65_536


@dataclass(frozen=True)
class Average(Infer):
    """The mean of the probabilities over ``count`` circular shifts, the same for every view.

    A grid of ``count = n²`` shifts by multiples of P/n pixels is phase marginalisation (Ercan 2026,
    arXiv 2606.08132: K = 4 offsets {0, P/2}² of the patch grid); random shifts are test-time
    augmentation. No guarantee; ``count = P²`` is ``infer=phases``.

    Args:
        count: Number of shifts, forward passes per view.
        draw: ``grid``, or ``random`` without replacement.
        period: P: shifts are 0 to below P px along each axis; None for the total stride of the
            network.
        seed: Seed of random shifts.

    Raises:
        UsageError: If a value is out of range.
    """

    count: int = 4
    draw: str = GRID
    period: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        require_one_of("infer.draw", self.draw, (GRID, RANDOM))
        require_within("infer.count", self.count, 1, MOST)
        if self.period is not None:
            require_within("infer.period", self.period, 1, MOST)
        if self.draw == GRID and math.isqrt(self.count) ** 2 != self.count:
            raise UsageError(
                f"infer.count={self.count} is not a square, as a grid needs; "
                f"give {math.isqrt(self.count) ** 2}, or infer.draw=random"
            )

    def wrap(self, network: nn.Module, stride: int) -> nn.Module:
        """Return the average over the shifts.

        Raises:
            UsageError: If there are fewer different shifts than ``count``.
        """
        period = stride if self.period is None else self.period
        if self.count > period**2:
            raise UsageError(
                f"infer.count={self.count} is more than the {period**2} shifts of a period of "
                f"{period} px; give fewer, or a larger infer.period"
            )
        if self.draw == GRID:
            side = math.isqrt(self.count)
            axis = [index * period // side for index in range(side)]
            return ShiftAverage(network, [(dy, dx) for dy in axis for dx in axis])
        generator = torch.Generator().manual_seed(derive_seed(self.seed, "infer-average"))
        drawn = torch.randperm(period**2, generator=generator)[: self.count].tolist()
        return ShiftAverage(network, [divmod(index, period) for index in drawn])
