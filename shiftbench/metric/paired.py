"""Paired comparison of two networks on the same images, with intervals of the difference."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from shiftbench.errors import ShiftbenchError
from shiftbench.metric.base import Floats, Terms
from shiftbench.metric.bootstrap import BCA, Bootstrap
from shiftbench.metric.evaluation import applicable
from shiftbench.metric.interval import Interval, interval_of
from shiftbench.prediction_table import PredictionTable


@dataclass(frozen=True, slots=True)
class Difference:
    """Difference of a metric between two tables of the same images.

    Attributes:
        metric: The metric's name.
        value_a: Its value over the first table.
        value_b: Its value over the second table.
        difference: ``value_b - value_a``.
        ci_low: Lower end of the paired interval of the difference.
        ci_high: Upper end; the networks differ if the interval excludes 0.
        interval: Its kind; see :class:`~shiftbench.metric.MetricValue`.
    """

    metric: str
    value_a: float
    value_b: float
    difference: float
    ci_low: float
    ci_high: float
    interval: str = ""


def compare(
    table_a: PredictionTable,
    table_b: PredictionTable,
    *,
    resamples: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
    method: str = BCA,
    names: Iterable[str] | None = None,
) -> list[Difference]:
    """Compare the metrics of two tables, paired by resampling the same images.

    The arguments are those of :func:`~shiftbench.metric.evaluate`. Pairing removes the variance
    due to the difficulty of images; the interval does not cover the variance over training seeds.

    Raises:
        ShiftbenchError: If images, shifts or protocol of the tables differ.

    >>> from shiftbench.metric.example import table_of
    >>> a, b = table_of([[0, 1], [1, 1]], [0, 1]), table_of([[0, 0], [1, 1]], [0, 1])
    >>> [row] = compare(a, b, names=["consistency"])
    >>> row.value_a, row.value_b, row.difference
    (0.5, 1.0, 0.5)
    """
    _require_same(table_a, table_b)
    chosen = applicable(names, table_a, table_b)
    options = Bootstrap(resamples, seed, confidence, method)
    values = [(metric(table_a), metric(table_b)) for metric in chosen]
    terms = [_difference(a, b) for a, b in values]
    sums = options.sums(terms) if terms else []
    rows = []
    for metric, (a, b), term, resampled in zip(chosen, values, terms, sums, strict=True):
        ends = _with_curvature(interval_of(term, resampled, options), term.value, a, b, options)
        rows.append(Difference(metric.name, a.value, b.value, b.value - a.value, *ends))
    return rows


def _difference(a: Terms, b: Terms) -> Terms:
    """Return the terms of ``b - a``, concatenated so that both share the resampled images."""
    width = a.terms.shape[1]

    def combine(sums: Floats) -> Floats:
        return b.combine(sums[..., width:]) - a.combine(sums[..., :width])

    ends = None
    if a.ends is not None and b.ends is not None:
        ends = np.concatenate([a.ends[::-1], b.ends], axis=1)
    return Terms(
        np.concatenate([a.terms, b.terms], axis=1), combine, min(a.n_images, b.n_images),
        b.n_shifts, ends,
    )  # fmt: skip


def _with_curvature(
    found: Interval, value: float, a: Terms, b: Terms, options: Bootstrap
) -> Interval:
    """Return the interval, at least as wide as for means over pairs with V₁ = 0.

    In this case, no single image changes the expected mean, whose error is a weighted sum of
    centred chi-squared variables; the widest interval is that for one degree of freedom.
    """
    if not (found.kind and a.pairs and b.pairs):
        return found
    furthest = (NormalDist().inv_cdf(1 - options.tail / 2) ** 2 - 1) / math.sqrt(2)
    half = furthest * math.hypot(a.pairs.curvature, b.pairs.curvature)
    return Interval(min(found.low, value - half), max(found.high, value + half), found.kind)


def _require_same(a: PredictionTable, b: PredictionTable) -> None:
    same = {
        "images (their labels differ)": np.array_equal(a.labels, b.labels),
        "images (their pixels differ)": _same_images(a, b),
        "shifts": a.axes == b.axes and np.array_equal(a.shifts, b.shifts),
        "sampled shifts": np.array_equal(a.sampled, b.sampled),
        "path": np.array_equal(a.previous, b.previous),
        "protocol": a.meta.get("protocol") == b.meta.get("protocol"),
    }
    for what, equal in same.items():
        if not equal:
            raise ShiftbenchError(
                f"the two tables were not measured on the same {what}, so they cannot be paired; "
                "measure both networks on the same data with the same shift protocol and seed"
            )


def _same_images(a: PredictionTable, b: PredictionTable) -> bool:
    """Whether the tables have the same images; True if the images of one are unknown."""
    if a.images is None or b.images is None:
        return True
    return np.array_equal(a.images, b.images)
