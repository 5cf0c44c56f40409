"""Two networks on the same images: the interval of the difference, which the images share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from shiftbench.errors import ShiftbenchError
from shiftbench.metric.bootstrap import Bootstrap
from shiftbench.metric.evaluation import applicable, can_resample
from shiftbench.table import PredictionTable


@dataclass(frozen=True, slots=True)
class Difference:
    """How a metric differs between two tables of the same images.

    Attributes:
        metric: The metric's name.
        value_a: Its value over the first table.
        value_b: Its value over the second table.
        difference: ``value_b - value_a``.
        ci_low: Lower end of the paired interval of the difference.
        ci_high: Upper end; the networks differ where the interval leaves 0 out.
    """

    metric: str
    value_a: float
    value_b: float
    difference: float
    ci_low: float
    ci_high: float


def compare(
    table_a: PredictionTable,
    table_b: PredictionTable,
    *,
    resamples: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
    method: str = "percentile",
    names: Iterable[str] | None = None,
) -> list[Difference]:
    """What changes from ``table_a`` to ``table_b``, paired: both see the same resampled images.

    The arguments are those of :func:`~shiftbench.metric.evaluate`. Pairing removes the spread that
    comes from hard and easy images; the spread over training seeds is another matter.

    Raises:
        ShiftbenchError: If the tables are not of the same images, shifts and protocol.

    >>> from shiftbench.metric.example import table_of
    >>> a, b = table_of([[0, 1], [1, 1]], [0, 1]), table_of([[0, 0], [1, 1]], [0, 1])
    >>> [row] = compare(a, b, names=["consistency"])
    >>> row.value_a, row.value_b, row.difference, row.ci_low, row.ci_high
    (0.5, 1.0, 0.5, 0.0, 1.0)
    """
    _require_same(table_a, table_b)
    chosen = applicable(names, table_a, table_b)
    bootstrap = Bootstrap(resamples, seed, confidence, method)
    terms_a = [metric(table_a) for metric in chosen]
    terms_b = [metric(table_b) for metric in chosen]
    replicates = bootstrap.replicates([*terms_a, *terms_b]) if chosen else []
    rows = []
    for at, (metric, a, b) in enumerate(zip(chosen, terms_a, terms_b, strict=True)):
        difference, low, high = b.value - a.value, float("nan"), float("nan")
        if can_resample(a) and can_resample(b):
            spread = replicates[at + len(chosen)] - replicates[at]
            left_out = bootstrap.leave_one_out(b) - bootstrap.leave_one_out(a)
            low, high = bootstrap.interval(difference, spread, left_out)
        rows.append(Difference(metric.name, a.value, b.value, difference, low, high))
    return rows


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
    """Whether both tables are of the same images, as far as it is known."""
    if a.images is None or b.images is None:
        return True
    return np.array_equal(a.images, b.images)
