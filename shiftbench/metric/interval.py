"""The interval of a metric over images; its kind depends on the data.

Resamples contain only observed images. If all images agree, or few of them determine the value, the
width of the interval is therefore derived from the number of images.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from shiftbench.metric.base import Floats, Terms
from shiftbench.metric.bootstrap import BCA, Bootstrap
from shiftbench.metric.proportion import unseen_share, wilson
from shiftbench.seeds import derive_seed

WILSON, EXACT, SCORE = "wilson", "exact", "score"
AGREE = 1e-6  # share of the metric's range up to which differences are float32 rounding
ROUNDING = 1e-9  # share of the range of the replicates up to which two of them are equal
_NORMAL = NormalDist()


class Interval(NamedTuple):
    """The ends of an interval and its kind; NaN and ``""`` if there is none."""

    low: float
    high: float
    kind: str


NONE = Interval(math.nan, math.nan, "")


def interval_of(term: Terms, sums: Floats, options: Bootstrap) -> Interval:
    """Return the interval of a metric over images.

    Its kind is ``exact`` if all images agree: derived from the largest plausible share of images of
    which none was drawn. It is ``wilson`` if every image is at one of the metric's bounds, and
    ``score`` for a mean over pairs of images. Otherwise it is a bootstrap interval by the method of
    ``options``; resamples for which the metric is undefined are left out.

    Args:
        term: The metric.
        sums: ``(resamples, T)``, its terms summed over each resample.
        options: Confidence, method and seed.
    """
    replicates = term.combine(sums)
    defined = np.isfinite(replicates)
    # The variance cannot be estimated from a single image.
    if term.n_images < 2 or math.isnan(term.value) or not defined.any():
        return NONE
    if term.pairs:
        exact, kind = term.pairs.all_agree, EXACT if term.pairs.all_agree else SCORE
        ends = term.pairs.exact if exact else term.pairs.interval
        return Interval(*ends(options.confidence), kind)
    left_out = term.leave_one_out
    left_out = left_out[np.isfinite(left_out)]
    if _all_agree(term, left_out):
        return _exact(term, options)
    if term.binary and term.ends is not None:
        least, most = term.combine(term.ends).tolist()
        low, high = wilson(*term.binary, options.confidence)
        return Interval(least + (most - least) * low, least + (most - least) * high, WILSON)
    return _resampled(term, sums[defined], replicates[defined], left_out, options)


def _all_agree(term: Terms, left_out: Floats) -> bool:
    """Whether no image influences the value by more than (machine-dependent) rounding."""
    if not left_out.size:
        return True
    extent = 1.0
    if term.ends is not None:
        extent = float(np.ptp(term.combine(term.ends * term.n_images)))
    return bool(np.ptp(left_out) * term.n_images <= AGREE * extent)


def _mixed(rows: Floats, others: Floats, shares: ArrayLike) -> Floats:
    """Return mixtures ``(S, T)`` of two sets of terms; ``shares (S,)`` weight ``others``."""
    share = np.asarray(shares, np.float64)[:, None]
    mixed: Floats = (1 - share) * rows + share * others
    return mixed


def _exact(term: Terms, options: Bootstrap) -> Interval:
    """Return the interval if the largest plausible share of unseen images is at either bound."""
    if term.ends is None:
        return NONE
    share = [unseen_share(term.n_images, options.confidence)]
    ends = term.ends * term.n_images
    low, high = (float(term.combine(_mixed(term.total, end, share))[0]) for end in ends)
    return Interval(low, high, EXACT)


def _resampled(
    term: Terms, sums: Floats, replicates: Floats, left_out: Floats, options: Bootstrap
) -> Interval:
    # Resamples vary less than samples (Hesterberg, The American Statistician 69, 2015).
    z = _NORMAL.inv_cdf(1 - options.tail) * math.sqrt(term.n_images / (term.n_images - 1))
    moved = left_out.mean() - left_out  # change of the value due to each image
    levels = np.array([_NORMAL.cdf(-z), _NORMAL.cdf(z)])
    bca = options.method == BCA
    chosen = bca_levels((-z, z), term.value, replicates, _acceleration(moved)) if bca else levels
    low, high = np.quantile(replicates, chosen).tolist()
    bounds = () if term.ends is None else enumerate(term.ends * term.n_images)
    far = {side: end for side, end in bounds if _is_far(term, end, moved)}
    weight = min(1.0, len(far) * float(np.sum(moved**4) / np.sum(moved**2) ** 2))
    # BCa's correction assumes many images; if one image determines the value, it is not applied.
    levels = chosen + weight * (levels - chosen)
    for side, end in far.items():
        mixed = _with_unseen_image(term, end, sums, weight, options)
        found = float(np.quantile(mixed, levels[side]))
        low, high = (min(low, found), high) if side == 0 else (low, max(high, found))
    return Interval(low, high, options.method)


def _is_far(term: Terms, end: Floats, moved: Floats) -> bool:
    """Whether a bound is further from the value than the standard deviation over images.

    If it is not, most images are at the bound, and an image there is not unlike the observed ones.
    """
    deviation = (term.n_images - 1) * math.sqrt(np.sum(moved**2) / term.n_images)
    return abs(float(term.combine(end)) - term.value) > deviation


def _with_unseen_image(
    term: Terms, end: Floats, sums: Floats, weight: float, options: Bootstrap
) -> Floats:
    """Return the replicates after adding one unseen image at a bound to each resample.

    With a weight of one, their quantile is a confidence bound that is proven for binary metrics
    (it equals that of Clopper & Pearson) and has no known counterexample among bounded metrics
    (Gaffke 2005; Learned-Miller & Thomas 2019, arXiv 1905.06208). The weight here is 1/k, where
    k = (Σ m²)² / Σ m⁴ is the effective number of images and m the influence of each on the value,
    or 2/k if the unseen image may be at either bound. It vanishes if many images determine the
    value.

    Args:
        term: The metric.
        end: ``(T,)``, its terms if all images were at the bound.
        sums: ``(resamples, T)``.
        weight: Weight of the unseen image, relative to 1 for each observed image.
        options: Provides the seed for the random share of the unseen image.
    """
    seed = derive_seed(options.seed, "unseen image", term.n_images)
    share = np.random.default_rng(seed).beta(weight, term.n_images, size=len(sums))
    return term.combine(_mixed(sums, end, share))


def bca_levels(
    ends: tuple[float, float], value: float, replicates: Floats, acceleration: float
) -> Floats:
    """Return the BCa quantile levels of the replicates, for ends given as normal quantiles."""
    apart = replicates - value
    ties = np.abs(apart) <= ROUNDING * np.ptp(replicates)
    below = np.mean((apart < 0) & ~ties) + np.mean(ties) / 2
    # If all replicates lie on one side of the value, limit the correction to half a resample.
    margin = 0.5 / replicates.size
    bias = _NORMAL.inv_cdf(float(np.clip(below, margin, 1 - margin)))
    return np.array([_corrected(bias, bias + end, acceleration) for end in ends])


def _corrected(bias: float, z: float, acceleration: float) -> float:
    slope = 1 - acceleration * z
    # With few images and high confidence, z may exceed the pole of the correction: level 0 or 1.
    return _NORMAL.cdf(bias + z / slope) if slope > 0 else float(z > 0)


def _acceleration(moved: Floats) -> float:
    scale = np.sum(moved**2) ** 1.5
    return float(np.sum(moved**3) / (6 * scale)) if scale > 0 else 0.0
