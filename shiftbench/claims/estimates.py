"""The number that decides a claim and its 95 % interval: over seeds, or over images for one seed.

Over seeds: the number is computed for every seed by itself, from runs equal in all else, and its
mean has Student's t-interval. Over images (one seed): the ends of the intervals of
``metrics.csv`` are carried through the formula one by one and added in squares, which is Zou &
Donner's interval for a difference (Statistics in Medicine 27, 2008) where the formula is one. Runs
see the same images, so their errors rarely have opposite signs, and the interval is rather wide.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from shiftbench.claims.blocks import Block
from shiftbench.claims.evidence import Run
from shiftbench.inference.student import t_quantile

CONFIDENCE = 0.95
NAN = math.nan


class Reader:
    """The numbers of one seed's runs, and which of them a formula asked for.

    Args:
        arms: The run of every arm.
        moved: A number (arm, protocol, metric) and the end of its interval, ``low`` or ``high``,
            that is read in its place.
    """

    def __init__(
        self, arms: Mapping[str, Run], moved: tuple[str, str, str, str] | None = None
    ) -> None:
        self.arms = arms
        self.asked: dict[tuple[str, str, str], None] = {}
        self._moved = moved

    def __call__(self, arm: str, protocol: str, metric: str) -> float:
        """Return the value of a metric, NaN where the run has none."""
        key = (arm, protocol, metric)
        self.asked[key] = None
        number = self.arms[arm].numbers.get((protocol, metric))
        if number is None:
            return NAN
        end = self._moved[3] if self._moved and self._moved[:3] == key else "value"
        return float(getattr(number, end))


Statistic = Callable[[Reader], float]


@dataclass(frozen=True)
class Estimate:
    """A number with its interval.

    Attributes:
        value: The number, NaN where it could not be computed.
        low: Lower end, NaN where there is no interval.
        high: Upper end.
        over: What the interval is over: ``3 seeds``, ``images, one seed``, or '' for none.
        name: Of the block it is from.
        runs: The runs it is made from.
    """

    value: float
    low: float = NAN
    high: float = NAN
    over: str = ""
    name: str = ""
    runs: tuple[str, ...] = ()

    def through(self, function: Callable[[float], float]) -> Estimate:
        """Return the estimate with an increasing function applied to value and ends."""
        value, low, high = (function(one) for one in (self.value, self.low, self.high))
        return replace(self, value=value, low=low, high=high)


def estimate(block: Block, statistic: Statistic) -> Estimate:
    """Return the statistic of a block, its interval over seeds, over images if there is one."""
    values = {
        seed: value
        for seed, arms in block.seeds.items()
        if not math.isnan(value := statistic(Reader(arms)))
    }
    names = tuple(run.run_id for seed in values for run in block.seeds[seed].values())
    if len(values) == 1:
        [(seed, value)] = values.items()
        low, high = _over_images(block.seeds[seed], statistic, value)
        return Estimate(value, low, high, "images, one seed" if low == low else "", block.name,
                        names)  # fmt: skip
    return replace(over_seeds(list(values.values())), name=block.name, runs=names)


def together(found: Sequence[Block], statistic: Statistic) -> Estimate:
    """Return the mean of a statistic over blocks, seed by seed; seeds that all blocks have."""
    common = set.intersection(*(set(block.seeds) for block in found)) if found else set()
    parts = [
        estimate(Block(block.name, {seed: block.seeds[seed] for seed in sorted(common)}), statistic)
        for block in found
    ]
    names = tuple(dict.fromkeys(name for part in parts for name in part.runs))
    if len(common) != 1:
        means = [
            math.fsum(statistic(Reader(block.seeds[seed])) for block in found) / len(found)
            for seed in sorted(common)
        ]
        return replace(over_seeds([one for one in means if not math.isnan(one)]), runs=names)
    value = math.fsum(part.value for part in parts) / len(parts)
    down, up = (
        math.sqrt(math.fsum((getattr(part, end) - part.value) ** 2 for part in parts)) / len(parts)
        for end in ("low", "high")
    )
    return Estimate(value, value - down, value + up, "images, one seed", "", names)


def over_seeds(values: Sequence[float]) -> Estimate:
    """Return the mean of a number that was computed seed by seed, with Student's t-interval.

    One seed has none. Seeds that agree to the last digit say nothing about how far others would
    be off, so they have none either.

    >>> over_seeds([0.1, 0.2, 0.3]).over
    '3 seeds'
    >>> over_seeds([0.5, 0.5]).low
    nan
    """
    count = len(values)
    if not count:
        return Estimate(NAN)
    mean = math.fsum(values) / count
    if len(set(values)) == 1:
        return Estimate(mean)
    sd = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (count - 1))
    half = t_quantile(CONFIDENCE, count - 1) * sd / math.sqrt(count)
    return Estimate(mean, mean - half, mean + half, f"{count} seeds")


def _over_images(
    arms: Mapping[str, Run], statistic: Statistic, value: float
) -> tuple[float, float]:
    reader = Reader(arms)
    statistic(reader)
    down = up = 0.0
    for key in reader.asked:
        moved = [statistic(Reader(arms, (*key, end))) - value for end in ("low", "high")]
        down += min(*moved, 0.0) ** 2 if not any(map(math.isnan, moved)) else NAN
        up += max(*moved, 0.0) ** 2
    if math.isnan(down):
        return NAN, NAN
    return value - math.sqrt(down), value + math.sqrt(up)
