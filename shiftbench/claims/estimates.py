"""The number that decides a claim and its 95 % interval over seeds and test images.

The number is computed separately for every seed, from runs that are equal in all else. All seeds
share the test images, so the interval treats both as random: the influence of each image on each
metric (``images.npz``) is propagated through the formula, and seeds and images are crossed random
effects (:mod:`shiftbench.inference.crossed`). With one seed, the images are resampled, the same
ones for all runs. If a run has no ``images.npz``, the intervals over images of ``metrics.csv`` are
propagated through the formula and added in quadrature (Zou & Donner, Statistics in Medicine 27,
2008), together with the deviation over seeds: too wide, since runs are not paired by image.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from shiftbench.claims.blocks import Block
from shiftbench.claims.evidence import Run
from shiftbench.claims.reader import Linear, Reader, Statistic, linear, resampled
from shiftbench.inference.crossed import CONFIDENCE, Deviation, deviation
from shiftbench.inference.kinds import IMAGES, over
from shiftbench.inference.sample import Sample, mean_of
from shiftbench.inference.student_t import t_quantile
from shiftbench.metric.bootstrap import resampling_weights
from shiftbench.metric.interval import bca_levels

__all__ = ["Estimate", "Reader", "Statistic", "estimate", "over_seeds", "together"]

NAN = math.nan
RESAMPLES, SEED = 1000, 0
NORMAL = t_quantile(CONFIDENCE, math.inf)
# What an interval covers if only the intervals of metrics.csv are known, not single images.
OWN_IMAGES, ADDED = "images, one seed, not paired", "{} seeds + images, not paired"


@dataclass(frozen=True)
class Estimate:
    """A number with its interval.

    Attributes:
        value: The number, NaN if it could not be computed.
        low: Lower end, NaN without an interval.
        high: Upper end.
        over: What the interval covers: ``3 seeds × images``, ``images, one seed``, ... or ''.
        name: Name of its block.
        runs: The runs used.
        deviation: The standard error behind the interval, None without one.
        sample: The number of every seed, and the influence of each image on it.
        half_widths: Below and above, of the interval over images that was propagated from
            ``metrics.csv``; NaN if the influence of each image is known.
    """

    value: float
    low: float = NAN
    high: float = NAN
    over: str = ""
    name: str = ""
    runs: tuple[str, ...] = ()
    deviation: Deviation | None = field(default=None, repr=False)
    sample: Sample | None = field(default=None, repr=False)
    half_widths: tuple[float, float] = field(default=(NAN, NAN), repr=False)

    def through(self, function: Callable[[float], float]) -> Estimate:
        """Return the estimate with an increasing function applied to value and ends."""
        value, low, high = (function(one) for one in (self.value, self.low, self.high))
        return replace(self, value=value, low=low, high=high)

    def at(self, confidence: float) -> tuple[float, float]:
        """Return the ends of the interval of another confidence."""
        if self.deviation is None:
            return self.low, self.high
        wider = self.deviation.critical(confidence) / self.deviation.critical(CONFIDENCE)
        low, high = (self.value + wider * (end - self.value) for end in (self.low, self.high))
        return low, high


def estimate(block: Block, statistic: Statistic) -> Estimate:
    """Return the statistic of a block with its interval, over the seeds for which it exists."""
    found = {seed: linear(arms, statistic) for seed, arms in block.seeds.items()}
    found = {seed: one for seed, one in found.items() if not math.isnan(one.value)}
    names = tuple(run.run_id for seed in found for run in block.seeds[seed].values())
    if not found:
        return Estimate(NAN, name=block.name, runs=names)
    sample = _sample(found)
    if len(found) == 1:
        [(seed, one)] = found.items()
        made = _of_one_seed(block.seeds[seed], statistic, one, sample)
    elif sample.images:
        made = crossed(sample)
    else:
        made = _added(sample, [_carried(block.seeds[seed], statistic, one)
                               for seed, one in found.items()])  # fmt: skip
    return replace(made, name=block.name, runs=names)


def together(found: Sequence[Block], statistic: Statistic) -> Estimate:
    """Return the mean of a statistic over blocks, for their common seeds."""
    common = set.intersection(*(set(block.seeds) for block in found)) if found else set()
    parts = [
        estimate(Block(block.name, {seed: block.seeds[seed] for seed in sorted(common)}), statistic)
        for block in found
    ]
    return mean_estimate(parts)


def mean_estimate(parts: Sequence[Estimate]) -> Estimate:
    """Return the mean over exactly these networks, with an interval over seeds and images."""
    names = tuple(dict.fromkeys(name for part in parts for name in part.runs))
    samples = [part.sample for part in parts if part.sample is not None]
    if not parts or len(samples) < len(parts):
        return Estimate(NAN, runs=names)
    mean = mean_of(samples)
    if not len(mean.values):
        return Estimate(NAN, runs=names)
    own = [part.half_widths for part in parts]
    made = crossed(mean) if mean.images else _added(mean, own)
    return replace(made, runs=names)


def population_estimate(parts: Sequence[Estimate]) -> Estimate:
    """Return the mean over networks, treating networks, seeds and images as samples.

    The variance V / J over networks includes the deviation over seeds and the differences between
    networks; the common effect of the images does not average out and is added.
    """
    mean = mean_estimate(parts)
    values = np.array([part.value for part in parts])
    if math.isnan(mean.value) or len(values) < 2:
        return mean
    spread = float(np.var(values, ddof=1)) / len(values)
    found = Deviation(spread, degrees=len(values) - 1.0, carried=_shared(parts))
    if found.variance == 0:
        return replace(mean, value=float(np.mean(values)))
    value = float(np.mean(values))
    low, high = found.around(value)
    return replace(mean, value=value, low=low, high=high, deviation=found,
                   over=f"{len(values)} networks × images")  # fmt: skip


def _shared(parts: Sequence[Estimate]) -> float:
    """Return the mean covariance of two networks through their images."""
    found = [part.deviation for part in parts if part.deviation and part.deviation.images]
    if len(found) < len(parts):  # unknown: assume a fully shared effect of the images
        widths = [sum(part.half_widths) / 2 / NORMAL for part in parts]
        known = [one**2 for one in widths if not math.isnan(one)]
        return math.fsum(known) / len(known) if known else 0.0
    total = 0.0
    for key in dict.fromkeys(key for one in found for key in one.images):
        rows = np.array([one.images[key] for one in found if key in one.images])
        number = rows.shape[1]
        all_pairs = float(np.sum(rows.sum(axis=0) ** 2) - np.sum(rows**2))
        total += all_pairs / (number * (number - 1))
    return max(total / (len(found) * (len(found) - 1)), 0.0)


def crossed(sample: Sample) -> Estimate:
    """Return the mean over seeds with its interval over seeds and images."""
    found = deviation(sample)
    low, high = found.around(sample.mean)
    if math.isnan(low):
        return Estimate(sample.mean, sample=sample)
    return Estimate(sample.mean, low, high, over(sample), "", (), found, sample)


def over_seeds(values: Sequence[float]) -> Estimate:
    """Return the mean of a number that was computed for each seed, with Student's t-interval.

    The interval is for these test images only. One seed has none, nor have seeds that agree to the
    last digit, since they do not show how far others would differ.

    >>> over_seeds([0.1, 0.2, 0.3]).over
    '3 seeds'
    >>> over_seeds([0.5, 0.5]).low
    nan
    """
    if not values:
        return Estimate(NAN)
    sample = Sample(np.array(values), {}, tuple(range(len(values))))
    if len(values) == 1 or len(set(values)) == 1:
        return Estimate(math.fsum(values) / len(values), sample=sample)
    return crossed(sample)


def _sample(found: Mapping[int, Linear]) -> Sample:
    """Return the values by seed, with the influence of images if all seeds have it."""
    values = np.array([one.value for one in found.values()])
    parts = [one.images for one in found.values()]
    keys = set(parts[0])
    same = bool(keys) and all(set(part) == keys for part in parts)
    images = {key: np.array([part[key] for part in parts]) for key in sorted(keys)} if same else {}
    return Sample(values, images, tuple(found))


def _of_one_seed(
    arms: Mapping[str, Run], statistic: Statistic, found: Linear, sample: Sample
) -> Estimate:
    """Return the estimate of one seed: its interval is over images."""
    if len(found.numbers) > 1 and found.influences:
        low, high = _paired(arms, statistic, found)
        if not math.isnan(low):
            return Estimate(found.value, low, high, IMAGES, "", (), deviation(sample), sample)
    down, up = _carried(arms, statistic, found)
    if len(found.numbers) > 1 or math.isnan(down):
        return _added(sample, [(down, up)])
    own = deviation(sample)
    if own.variance == 0:  # no influences, or all images agree: the interval of metrics.csv counts
        own = replace(own, carried=((down + up) / 2 / NORMAL) ** 2)
    return Estimate(found.value, found.value - down, found.value + up, IMAGES, "", (), own, sample,
                    (down, up))  # fmt: skip


def _paired(arms: Mapping[str, Run], statistic: Statistic, found: Linear) -> tuple[float, float]:
    """Return the BCa interval of resampled images, NaN if they hardly change the formula."""
    influences = found.influences or {}
    numbers = sorted({len(one.numbers) for one in influences.values()})
    weights = {
        number: np.concatenate(list(resampling_weights(number, RESAMPLES, SEED)))
        for number in numbers
    }
    drawn = resampled(arms, statistic, found, weights)
    drawn = drawn[np.isfinite(drawn)]
    spread = np.concatenate([part / len(part) for part in found.images.values()])
    if drawn.size < RESAMPLES / 2 or not np.any(spread):
        return NAN, NAN
    acceleration = float(np.sum(spread**3) / (6 * np.sum(spread**2) ** 1.5))
    degrees = min(numbers) - 1
    z = t_quantile(CONFIDENCE, degrees) * math.sqrt((degrees + 1) / degrees)
    levels = bca_levels((-z, z), found.value, drawn, acceleration)
    low, high = np.quantile(drawn, levels).tolist()
    return low, high


def _carried(arms: Mapping[str, Run], statistic: Statistic, found: Linear) -> tuple[float, float]:
    """Return half-widths, below and above, from the intervals over images of ``metrics.csv``."""
    down = up = 0.0
    for key, number in found.numbers.items():
        moved = [
            statistic(Reader(arms, {key: end})) - found.value for end in (number.low, number.high)
        ]
        down += min(*moved, 0.0) ** 2 if not any(map(math.isnan, moved)) else NAN
        up += max(*moved, 0.0) ** 2
    return (NAN, NAN) if math.isnan(down) else (math.sqrt(down), math.sqrt(up))


def _added(sample: Sample, own: Sequence[tuple[float, float]]) -> Estimate:
    """Return the mean over seeds for which only the intervals of ``metrics.csv`` are known.

    Args:
        sample: The number of every seed.
        own: Half-widths of intervals over images, of every seed or of every network. All share
            their images, so they are averaged, not divided by the root of their number.
    """
    down, up = (math.fsum(one[side] for one in own) / len(own) for side in (0, 1))
    seeds = over_seeds(sample.values.tolist())
    made = replace(seeds, sample=sample, half_widths=(down, up))
    if math.isnan(down + up):
        return made
    count, of_seeds = len(sample.values), seeds.deviation.variance if seeds.deviation else 0.0
    found = Deviation(of_seeds, degrees=max(count - 1.0, 1.0),
                      carried=((down + up) / 2 / NORMAL) ** 2)  # fmt: skip
    if found.variance == 0:
        return made
    low, high = (found.critical() * math.hypot(math.sqrt(of_seeds), side / NORMAL)
                 for side in (down, up))  # fmt: skip
    return replace(made, low=made.value - low, high=made.value + high, deviation=found,
                   over=ADDED.format(count) if count > 1 else OWN_IMAGES)  # fmt: skip
