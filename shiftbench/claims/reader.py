"""The input of a formula: the metrics of one seed's runs, and its derivative in each of them."""

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
    """The numbers of one seed's runs; records which of them a formula reads.

    Args:
        arms: The run of every arm.
        replaced: Numbers that replace those of the runs.
    """

    def __init__(
        self, arms: Mapping[str, Run], replaced: Mapping[Key, float] | None = None
    ) -> None:
        self.arms = arms
        self.asked: dict[Key, None] = {}
        self._replaced = replaced or {}

    def __call__(self, arm: str, protocol: str, metric: str) -> float:
        """Return the value of a metric, NaN if the run lacks it."""
        key = (arm, protocol, metric)
        self.asked[key] = None
        if key in self._replaced:
            return self._replaced[key]
        number = self.arms[arm].numbers.get((protocol, metric))
        return NAN if number is None else number.value

    def n_images(self, arm: str, protocol: str, metric: str) -> int:
        """Return the number of images of a metric, 0 if the run lacks it."""
        number = self.arms[arm].numbers.get((protocol, metric))
        return 0 if number is None else number.n_images


Statistic = Callable[[Reader], float]


@dataclass(frozen=True)
class Linear:
    """The linear approximation of a formula in the numbers that it reads, and in the images.

    Attributes:
        value: The formula's value, NaN if it is undefined.
        numbers: The numbers that it reads.
        influences: Influences of the images on those; None if some run lacks them.
        slopes: The formula's slope in each number, over steps of one standard error.
    """

    value: float
    numbers: Mapping[Key, Number]
    influences: Mapping[Key, Influence] | None = None
    slopes: Mapping[Key, float] | None = None

    @property
    def images(self) -> dict[str, Floats]:
        """The influence of every image on the value, by set of images."""
        found: dict[str, Floats] = {}
        for key, influence in (self.influences or {}).items():
            part = (self.slopes or {})[key] * influence.numbers
            found[influence.images] = found.get(influence.images, 0.0) + part
        return found


def linear(arms: Mapping[str, Run], statistic: Statistic) -> Linear:
    """Return the linear approximation of a formula on the runs of one seed."""
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
    """Return the slope over one standard error to either side, where the formula is defined."""
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
    """Return the formula's values for resampled images, the same ones for all runs on them.

    Args:
        arms: The run of every arm.
        statistic: The formula.
        found: What :func:`linear` returned for it.
        weights: By number of images N, ``(R, N)``: how often each image is drawn.
    """
    moved = {}
    for key, influence in (found.influences or {}).items():
        number = len(influence.numbers)
        drawn = weights[number] @ influence.numbers / number
        moved[key] = (found.numbers[key].value + drawn).tolist()
    rows = [dict(zip(moved, row, strict=True)) for row in zip(*moved.values(), strict=True)]
    return np.array([statistic(Reader(arms, row)) for row in rows])
