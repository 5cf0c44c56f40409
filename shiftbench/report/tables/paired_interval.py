"""The interval of a paired difference, depending on the number of seeds and on known images."""

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
ROUNDING = 1e-12  # a narrower interval counts as zero width: the seeds agree


class PairedInterval(NamedTuple):
    """An interval; NaN and '' if there is none.

    Attributes:
        low: Lower end.
        high: Upper end.
        method: ``crossed`` (seeds and images), ``t`` (seeds), or for images only: ``bca``,
            ``exact``.
        kind: What it covers, from :func:`shiftbench.inference.kinds.over`.
    """

    low: float
    high: float
    method: str = ""
    kind: str = ""


NOTHING = PairedInterval(math.nan, math.nan)


def paired_intervals(samples: Mapping[str, Sample]) -> dict[str, PairedInterval]:
    """Return the 95 % intervals of the means of paired differences, by metric.

    Two seeds or more: crossed random effects of seeds and images, or Student's t over seeds if
    images are unknown. One seed: resampled images. If neither seeds nor images differ, the number
    of images alone bounds the difference on other images.

    Args:
        samples: Differences by seed, for each metric, on the same images.
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
    """Return a difference, averaged over seeds, as a mean over images."""
    [rows] = sample.images.values()
    known = about(metric)
    bounds = _bounds(metric)
    if not np.ptp(rows.mean(axis=0)) and (known is None or known.higher_is_better is None):
        bounds = (-math.inf, math.inf)  # pairs of images may still vary
    return Terms.mean(sample.mean + rows.mean(axis=0), n_shifts=1).within(bounds)


def _over_images(terms: Mapping[str, Terms]) -> dict[str, Interval]:
    """Return intervals over resampled images, the same resamples for equal numbers of images."""
    options, found = Bootstrap(), {}
    for number in dict.fromkeys(len(term.terms) for term in terms.values()):
        alike = {metric: term for metric, term in terms.items() if len(term.terms) == number}
        sums = options.sums(list(alike.values()))
        for (metric, term), resampled in zip(alike.items(), sums, strict=True):
            found[metric] = interval_of(term, resampled, options)
    return found


def direction(metric: str, low: float, high: float) -> str:
    """Return the direction of a difference according to its interval; '' if it contains 0.

    Seeds with exactly equal differences give no information on other seeds.

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
    """Whether an interval covers the variation over training seeds."""
    return kind not in ("", IMAGES)
