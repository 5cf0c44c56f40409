"""What a formula reads: the metrics of the runs of one seed, and how it depends on each of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from shiftbench.claims.evidence import Influence, Number, Run
from shiftbench.inference.sample import Floats

Key = tuple[str, str, str]  # arm, protocol, metric
NAN = math.nan


class Reader:
    """The numbers of one seed's runs, and which of them a formula asked for.

    Args:
        arms: The run of every arm.
        replaced: Numbers that are read in the place of those of the runs.
    """

    def __init__(
        self, arms: Mapping[str, Run], replaced: Mapping[Key, float] | None = None
    ) -> None:
        self.arms = arms
        self.asked: dict[Key, None] = {}
        self._replaced = replaced or {}

    def __call__(self, arm: str, protocol: str, metric: str) -> float:
        """Return the value of a metric, NaN where the run has none."""
        key = (arm, protocol, metric)
        self.asked[key] = None
        if key in self._replaced:
            return self._replaced[key]
        number = self.arms[arm].numbers.get((protocol, metric))
        return NAN if number is None else number.value

    def n_images(self, arm: str, protocol: str, metric: str) -> int:
        """Return how many images a metric is over, 0 where the run has none."""
        number = self.arms[arm].numbers.get((protocol, metric))
        return 0 if number is None else number.n_images


Statistic = Callable[[Reader], float]


@dataclass(frozen=True)
class Linear:
    """A formula near its value: how it depends on the numbers it asked for, and on the images.

    Attributes:
        value: The formula's value, NaN where it has none.
        numbers: What it asked for.
        influences: Of the images on each of those; None where some run does not have them.
        slopes: The formula's slope in each number, over a step of its standard error.
    """

    value: float
    numbers: Mapping[Key, Number]
    influences: Mapping[Key, Influence] | None = None
    slopes: Mapping[Key, float] | None = None

    @property
    def images(self) -> dict[str, Floats]:
        """What every image contributes to the value, by set of images."""
        found: dict[str, Floats] = {}
        for key, influence in (self.influences or {}).items():
            part = (self.slopes or {})[key] * influence.numbers
            found[influence.images] = found.get(influence.images, 0.0) + part
        return found


def linear(arms: Mapping[str, Run], statistic: Statistic) -> Linear:
    """Return a formula of the runs of one seed near its value."""
    reader = Reader(arms)
    value = statistic(reader)
    numbers = {key: number for key in reader.asked if (number := arms[key[0]].numbers.get(key[1:]))}
    found = {key: arms[key[0]].influence(*key[1:]) for key in numbers}
    known = {key: one for key, one in found.items() if one is not None}
    if math.isnan(value) or len(known) < len(reader.asked):
        return Linear(value, numbers)
    slopes = {key: _slope(arms, statistic, key, numbers[key].value, known[key]) for key in known}
    if any(map(math.isnan, slopes.values())):
        return Linear(value, numbers)
    return Linear(value, numbers, known, slopes)


def _slope(
    arms: Mapping[str, Run], statistic: Statistic, key: Key, value: float, influence: Influence
) -> float:
    """Return the slope over one standard error to either side, as far as the formula is defined."""
    step = influence.error
    if step == 0:
        return 0.0
    low, middle, high = (statistic(Reader(arms, {key: value + side * step})) for side in (-1, 0, 1))
    slopes = [(middle - low) / step, (high - middle) / step]
    known = [slope for slope in slopes if not math.isnan(slope)]
    return math.fsum(known) / len(known) if known else NAN


def resampled(
    arms: Mapping[str, Run], statistic: Statistic, found: Linear, weights: Mapping[int, Floats]
) -> Floats:
    """Return the formula for resampled images, the same ones for all that saw them.

    Args:
        arms: The run of every arm.
        statistic: The formula.
        found: What :func:`linear` returned for it.
        weights: By number of images N, ``(R, N)``: how often each is drawn.
    """
    moved = {}
    for key, influence in (found.influences or {}).items():
        number = len(influence.numbers)
        drawn = weights[number] @ influence.numbers / number
        moved[key] = (found.numbers[key].value + drawn).tolist()
    rows = [dict(zip(moved, row, strict=True)) for row in zip(*moved.values(), strict=True)]
    return np.array([statistic(Reader(arms, row)) for row in rows])
