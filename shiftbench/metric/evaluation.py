"""From a prediction table to metric values with intervals."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from shiftbench.errors import ShiftbenchError, require_one_of
from shiftbench.metric.base import METRICS, Metric, Terms
from shiftbench.metric.bootstrap import Bootstrap
from shiftbench.table import PredictionTable


@dataclass(frozen=True, slots=True)
class MetricValue:
    """One row of ``metrics.csv``.

    Attributes:
        metric: The metric's name.
        value: Its value over the table, a fraction; NaN where nothing could enter it.
        ci_low: Lower end of the interval over images; NaN with fewer than two images.
        ci_high: Upper end of the interval.
        n_images: Images that entered the value.
        n_shifts: Shifts (or one-pixel steps) per image that the metric looked at.
    """

    metric: str
    value: float
    ci_low: float
    ci_high: float
    n_images: int
    n_shifts: int


def evaluate(
    table: PredictionTable,
    *,
    resamples: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
    method: str = "percentile",
    names: Iterable[str] | None = None,
) -> list[MetricValue]:
    """Every metric that applies to ``table``, with intervals from resampled images.

    Args:
        table: The answers of one network under one protocol.
        resamples: Bootstrap resamples; 0 for values without intervals.
        seed: Seed of the resampling; the same table and seed give the same numbers.
        confidence: Of the intervals.
        method: ``"percentile"`` or ``"bca"``.
        names: The metrics to compute, all by default. Those that do not apply are skipped.

    >>> from shiftbench.metric.example import example
    >>> [row] = evaluate(example(), names=["shift_accuracy"], seed=1)
    >>> row.value, row.ci_low, row.ci_high, row.n_images, row.n_shifts
    (0.5625, 0.1875, 0.875, 4, 4)
    """
    chosen = applicable(names, table)
    bootstrap = Bootstrap(resamples, seed, confidence, method)
    terms = [metric(table) for metric in chosen]
    replicates = bootstrap.replicates(terms) if terms else []
    rows = []
    for metric, term, replicate in zip(chosen, terms, replicates, strict=True):
        low, high = float("nan"), float("nan")
        if can_resample(term):
            left_out = bootstrap.leave_one_out(term)
            low, high = bootstrap.interval(term.value, replicate, left_out)
        rows.append(MetricValue(metric.name, term.value, low, high, term.n_images, term.n_shifts))
    return rows


def applicable(names: Iterable[str] | None, *tables: PredictionTable) -> list[Metric]:
    """The metrics called ``names`` (all if None) that apply to every one of ``tables``."""
    if any(table.n_images == 0 for table in tables):
        raise ShiftbenchError("the prediction table holds no images; measure at least one")
    names = list(METRICS if names is None else names)
    for name in names:
        require_one_of("metric", name, METRICS)
    metrics = (METRICS[name] for name in names)
    return [metric for metric in metrics if all(map(metric.applies, tables))]


def can_resample(term: Terms) -> bool:
    """Whether images can be resampled: one image alone says nothing about the spread."""
    return term.n_images >= 2
