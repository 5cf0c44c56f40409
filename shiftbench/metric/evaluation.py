"""From a prediction table to metric values with intervals."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from shiftbench.errors import ShiftbenchError, require_one_of
from shiftbench.metric.base import METRICS, OPT_IN, Metric, Terms
from shiftbench.metric.bootstrap import BCA, Bootstrap
from shiftbench.metric.interval import Interval, interval_of
from shiftbench.prediction_table import PredictionTable


@dataclass(frozen=True, slots=True)
class MetricValue:
    """One row of ``metrics.csv``.

    Attributes:
        metric: The metric's name.
        value: Its value over the table, a fraction; NaN if no image contributes.
        ci_low: Lower end of the interval over images; NaN with fewer than two images.
        ci_high: Upper end of the interval.
        interval: Its kind, ``bca``, ``percentile``, ``wilson``, ``score`` or ``exact``; '' if there
            is none. See :func:`~shiftbench.metric.interval.interval_of`.
        n_images: Number of images that contribute to the value.
        n_shifts: Number of shifts (or steps of the path) per image that the metric uses.
    """

    metric: str
    value: float
    ci_low: float
    ci_high: float
    interval: str
    n_images: int
    n_shifts: int


def evaluate(
    table: PredictionTable,
    *,
    resamples: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
    method: str = BCA,
    names: Iterable[str | Metric] | None = None,
) -> list[MetricValue]:
    """Evaluate every metric that applies to ``table``, with intervals over images.

    Args:
        table: The answers of one network under one protocol.
        resamples: Bootstrap resamples; 0 for values without intervals.
        seed: Seed of the resampling; the same table and seed give the same numbers.
        confidence: Nominal coverage of the intervals.
        method: ``"bca"`` or ``"percentile"``, for metrics with a bootstrap interval.
        names: The metrics to compute, as names or objects; all of
            :data:`~shiftbench.metric.base.METRICS` by default. Those that do not apply are skipped.

    >>> from shiftbench.metric.example import example
    >>> [row] = evaluate(example(), names=["shift_accuracy"], seed=1)
    >>> row.value, round(row.ci_low, 2), round(row.ci_high, 2), row.interval
    (0.5625, 0.1, 0.95, 'bca')
    >>> row.n_images, row.n_shifts
    (4, 4)
    """
    chosen = applicable(names, table)
    options = Bootstrap(resamples, seed, confidence, method)
    terms = [metric(table) for metric in chosen]
    sums = options.sums(terms) if terms else []
    return [
        _row(metric, term, interval_of(term, resampled, options))
        for metric, term, resampled in zip(chosen, terms, sums, strict=True)
    ]


def _row(metric: Metric, term: Terms, interval: Interval) -> MetricValue:
    low, high = np.clip(interval[:2], *metric.bounds).tolist()
    return MetricValue(
        metric.name, term.value, low, high, interval.kind, term.n_images, term.n_shifts
    )


def applicable(names: Iterable[str | Metric] | None, *tables: PredictionTable) -> list[Metric]:
    """Return the metrics among ``names`` (all if None) that apply to all ``tables``."""
    if any(table.n_images == 0 for table in tables):
        raise ShiftbenchError("the prediction table holds no images; measure at least one")
    metrics = [_metric(name) for name in (METRICS if names is None else names)]
    return [metric for metric in metrics if all(map(metric.applies, tables))]


def _metric(name: str | Metric) -> Metric:
    if isinstance(name, Metric):
        return name
    known = METRICS | OPT_IN
    require_one_of("metric", name, known)
    return known[name]
