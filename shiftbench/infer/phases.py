"""The mean answer over all sampling phases of a network."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from shiftbench.errors import require_one_of, require_within
from shiftbench.infer.base import Infer
from shiftbench.infer.shift_average import ShiftAverage

STRIDE, TORUS = "stride", "torus"
MOST = 65_536


@dataclass(frozen=True)
class Phases(Infer):
    """The exact mean of the probabilities over all P² phases, or over the whole torus.

    Over the torus the answer is exactly invariant to circular shifts, for any network (Reynolds
    operator). So it is over P = the total stride, if all borders are circular and the head is
    global: a shift by P pixels then does not change the network's answer. P² or H·W forward passes;
    for networks that the dense engine applies to, one pass of it, which costs a few.

    Args:
        over: ``stride`` for the shifts 0 to below P px along each axis, ``torus`` for every shift.
        period: P in pixels; None for the total stride of the network.

    Raises:
        UsageError: If a value is out of range.
    """

    over: str = STRIDE
    period: int | None = None

    def __post_init__(self) -> None:
        require_one_of("infer.over", self.over, (STRIDE, TORUS))
        if self.period is not None:
            require_within("infer.period", self.period, 1, MOST)

    def wrap(self, network: nn.Module, stride: int) -> nn.Module:
        """Return the average over the phases."""
        if self.over == TORUS:
            return ShiftAverage(network, None)
        period = range(stride if self.period is None else self.period)
        return ShiftAverage(network, [(dy, dx) for dy in period for dx in period])
