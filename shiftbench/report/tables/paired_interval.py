"""The interval of a paired difference, by how many seeds there are and whether images are known."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from shiftbench.inference.crossed import crossed_interval
from shiftbench.inference.kinds import IMAGES, over
from shiftbench.inference.sample import Sample
from shiftbench.metric import Terms, about
from shiftbench.metric.bootstrap import Bootstrap
from shiftbench.metric.interval import Interval, interval_of

CROSSED, STUDENT = "crossed", "t"
ROUNDING = 1e-12  # an interval that is no wider is of seeds that agree


class PairedInterval(NamedTuple):
    """An interval; NaN and '' where there is none.

    Attributes:
        low: Lower end.
        high: Upper end.
        method: ``crossed`` (seeds and images), ``t`` (seeds), or that of the images alone: ``bca``,
            ``exact``.
        kind: What it is over, as :func:`shiftbench.inference.kinds.over` says it.
    """

    low: float
    high: float
    method: str = ""
    kind: str = ""


NOTHING = PairedInterval(math.nan, math.nan)


def paired_intervals(samples: Mapping[str, Sample]) -> dict[str, PairedInterval]:
    """Return the 95 % intervals of the means of paired differences, by metric.

    Two seeds or more: crossed random effects of seeds and images, Student's t over seeds where
    images are not known. One seed: resampled images. Where neither seeds nor images differ, only
    the number of images bounds how far others could.

    Args:
        samples: Differences by seed, of each metric. They share their images.
    """
    found = {metric: _over_seeds(sample, metric) for metric, sample in samples.items()}
    terms = {
        metric: _terms(sample, metric)
        for metric, sample in samples.items()
        if math.isnan(found[metric].low) and len(sample.images) == 1
    }
    for metric, interval in _over_images(terms).items():
        if not math.isnan(interval.low):
            found[metric] = PairedInterval(*interval, over(samples[metric]))
    return found


def _over_seeds(sample: Sample, metric: str) -> PairedInterval:
    if len(sample.values) < 2:
        return NOTHING
    ends = crossed_interval(sample)
    if math.isnan(ends[0]):
        return NOTHING
    method = CROSSED if sample.images else STUDENT
    low, high = np.clip(ends, *_bounds(metric)).tolist()
    return PairedInterval(low, high, method, over(sample))


def _bounds(metric: str) -> tuple[float, float]:
    """Return the smallest and the largest possible difference of a metric."""
    known = about(metric)
    low, high = known.bounds if known else (-math.inf, math.inf)
    return low - high, high - low


def _terms(sample: Sample, metric: str) -> Terms:
    """Return a difference, meant over seeds, as a mean over images."""
    [rows] = sample.images.values()
    known = about(metric)
    bounds = _bounds(metric)
    if not np.ptp(rows.mean(axis=0)) and (known is None or known.higher_is_better is None):
        bounds = (-math.inf, math.inf)  # pairs of images may vary where no single one moves it
    return Terms.mean(sample.mean + rows.mean(axis=0), n_shifts=1).within(bounds)


def _over_images(terms: Mapping[str, Terms]) -> dict[str, Interval]:
    """Return the intervals of resampled images, the same ones for metrics of as many."""
    options, found = Bootstrap(), {}
    for number in dict.fromkeys(len(term.terms) for term in terms.values()):
        alike = {metric: term for metric, term in terms.items() if len(term.terms) == number}
        sums = options.sums(list(alike.values()))
        for (metric, term), resampled in zip(alike.items(), sums, strict=True):
            found[metric] = interval_of(term, resampled, options)
    return found


def direction(metric: str, low: float, high: float) -> str:
    """Return which way a difference is, as far as its interval says; '' where 0 is in it.

    Seeds that differ by exactly the same say nothing about how far others would be off.

    >>> direction("consistency", 0.1, 0.3), direction("top1_change", 0.1, 0.3)
    ('better', 'worse')
    >>> direction("chance_consistency", 0.1, 0.3), direction("consistency", -0.1, 0.3)
    ('differs', '')
    """
    if not (low > 0 or high < 0) or high - low < ROUNDING:
        return ""
    known = about(metric)
    if known is None or known.higher_is_better is None:
        return "differs"
    return "better" if (low > 0) == known.higher_is_better else "worse"


def is_over_seeds(kind: str) -> bool:
    """Whether an interval has in it how much training seeds differ."""
    return kind not in ("", IMAGES)
