"""The interval of a metric over images, of the kind that its images call for.

Resampling knows nothing of an image unlike all that were seen. Where all images agree, or few of
them decide, the number of images says how wide an interval has to be.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from shiftbench.inference.student import t_quantile
from shiftbench.metric.base import Floats, Terms
from shiftbench.metric.bootstrap import BCA, Bootstrap
from shiftbench.metric.proportion import unseen_share, wilson
from shiftbench.seeds import derive_seed

WILSON, EXACT = "wilson", "exact"
AGREE = 1e-6  # of the range of the metric: below, images differ by float32 rounding alone
MOST_DEGREES = 1000  # of freedom: beyond, Student's t is the normal distribution to 0.1 %
_NORMAL = NormalDist()


class Interval(NamedTuple):
    """The ends of an interval and its kind; NaN and ``""`` where there is none."""

    low: float
    high: float
    kind: str


NONE = Interval(math.nan, math.nan, "")


def interval_of(term: Terms, sums: Floats, options: Bootstrap) -> Interval:
    """The interval of a metric over images.

    Its kind is ``exact`` where all images agree: from the share of images that may be missing among
    so many. It is ``wilson`` where every image is at one of the metric's bounds. Elsewhere it is
    that of the resamples, by the method of ``options``; those without a value are left out.

    Args:
        term: The metric.
        sums: ``(resamples, T)``, its terms summed over each resample.
        options: Confidence, method and seed.
    """
    replicates = term.combine(sums)
    defined = np.isfinite(replicates)
    # One image alone says nothing about the spread.
    if term.n_images < 2 or math.isnan(term.value) or not defined.any():
        return NONE
    left_out = term.leave_one_out
    left_out = left_out[np.isfinite(left_out)]
    if _all_agree(term, left_out):
        found = _exact(term, options)
    elif term.binary and term.ends is not None:
        shares = wilson(*term.binary, options.confidence)
        lowest, highest = term.ends * term.n_images
        low, high = term.combine(_mixed(lowest, highest, shares)).tolist()
        found = Interval(low, high, WILSON)
    else:
        found = _resampled(term, sums[defined], replicates[defined], left_out, options)
    return _with_curvature(term, found, options)


def _all_agree(term: Terms, left_out: Floats) -> bool:
    """Whether no image moves the value; rounding, which differs between machines, is no move."""
    if not left_out.size:
        return True
    extent = 1.0
    if term.ends is not None:
        extent = float(np.ptp(term.combine(term.ends * term.n_images)))
    return bool(np.ptp(left_out) * term.n_images <= AGREE * extent)


def _mixed(rows: Floats, others: Floats, shares: ArrayLike) -> Floats:
    """``(S, T)``, terms of images of which the ``shares: (S,)`` are as in ``others``."""
    share = np.asarray(shares, np.float64)[:, None]
    mixed: Floats = (1 - share) * rows + share * others
    return mixed


def _exact(term: Terms, options: Bootstrap) -> Interval:
    """What the value can be if images at either bound are as many as may well be missing."""
    if term.ends is None:
        return NONE
    share = [unseen_share(term.n_images, options.confidence)]
    ends = term.ends * term.n_images
    low, high = (float(term.combine(_mixed(term.total, end, share))[0]) for end in ends)
    return Interval(low, high, EXACT)


def _resampled(
    term: Terms, sums: Floats, replicates: Floats, left_out: Floats, options: Bootstrap
) -> Interval:
    degrees = term.n_images - 1
    # Resamples spread less than samples do, and their spread is itself an estimate: the levels of
    # Hesterberg's expanded percentile interval (The American Statistician 69, 2015).
    z = t_quantile(options.confidence, min(degrees, MOST_DEGREES))
    z *= math.sqrt(term.n_images / degrees)
    acceleration = _acceleration(left_out)
    levels = np.array([_NORMAL.cdf(-z), _NORMAL.cdf(z)])
    bca = options.method == BCA
    chosen = bca_levels((-z, z), term.value, replicates, acceleration) if bca else levels
    low, high = np.quantile(replicates, chosen).tolist()
    if term.ends is not None:
        side = int(acceleration > 0)
        end = _with_unseen_image(term, sums, side, abs(acceleration), levels[side], options)
        low, high = (min(low, end), high) if side == 0 else (low, max(high, end))
    return Interval(low, high, options.method)


def _with_unseen_image(
    term: Terms, sums: Floats, side: int, acceleration: float, level: float, options: Bootstrap
) -> float:
    """The end of the interval of resamples that an unseen image enters, one at the bound.

    With a weight of one this is a bound that is known to hold for binary metrics (there it is that
    of Clopper & Pearson) and not known to fail for any that is bounded (Gaffke 2005; Learned-Miller
    & Thomas 2019, arXiv 1905.06208). The weight here is 6 |acceleration|, the skewness of the mean,
    at most one. It is about 1/√k where k images decide, so it vanishes where resampling is
    enough.
    """
    weight = min(1.0, 6 * acceleration)
    if weight == 0 or term.ends is None:
        return term.value
    seed = derive_seed(options.seed, "unseen image", term.n_images)
    share = np.random.default_rng(seed).beta(weight, term.n_images, size=len(sums))
    mixed = term.combine(_mixed(sums, term.ends[side] * term.n_images, share))
    return float(np.quantile(mixed, level))


def bca_levels(
    ends: tuple[float, float], value: float, replicates: Floats, acceleration: float
) -> Floats:
    """The levels at which replicates are read, for ends given as normal quantiles."""
    below = np.mean(replicates < value) + np.mean(replicates == value) / 2
    # A value outside all its replicates would need an infinite correction; stop at half a resample.
    margin = 0.5 / replicates.size
    bias = _NORMAL.inv_cdf(float(np.clip(below, margin, 1 - margin)))
    return np.array([_corrected(bias, bias + end, acceleration) for end in ends])


def _corrected(bias: float, z: float, acceleration: float) -> float:
    slope = 1 - acceleration * z
    # Few images, far ends: the correction has a pole, and beyond it there is nothing further out.
    return _NORMAL.cdf(bias + z / slope) if slope > 0 else float(z > 0)


def _acceleration(left_out: Floats) -> float:
    spread = left_out.mean() - left_out
    scale = np.sum(spread**2) ** 1.5
    return float(np.sum(spread**3) / (6 * scale)) if scale > 0 else 0.0


def _with_curvature(term: Terms, found: Interval, options: Bootstrap) -> Interval:
    """The interval, at least as wide as it is where no image moves a quadratic metric.

    The value is off by a weighted sum of centred chi-squares then. Relative to its deviation, it is
    too high by most with one degree of freedom, and too low by most with many.
    """
    if not term.curvature or not found.kind:
        return found
    one_degree = _NORMAL.inv_cdf(1 - options.tail / 2) ** 2 - 1
    many_degrees = math.sqrt(2) * _NORMAL.inv_cdf(1 - options.tail)
    low = min(found.low, term.value - one_degree * term.curvature)
    high = max(found.high, term.value + many_degrees * term.curvature)
    return Interval(low, high, found.kind)
