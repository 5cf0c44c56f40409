"""Conversion of prediction tables to rows of ``metrics.csv`` and ``shifts.csv``; no torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from shiftbench.metric import Metric, evaluate, per_shift
from shiftbench.prediction_table import PredictionTable
from shiftbench.storage.result_files import axes_of, in_order


def metric_rows(
    tables: Mapping[str, PredictionTable],
    identity: Mapping[str, Any],
    resamples: int,
    metrics: Iterable[Metric] | None = None,
) -> pd.DataFrame:
    """Return the rows of ``metrics.csv``.

    Args:
        tables: Prediction tables by the name of the protocol.
        identity: The columns that are the same in every row.
        resamples: Number of resamples of the images, for the intervals.
        metrics: All registered metrics by default; those that apply to a table have a row.
    """
    chosen = None if metrics is None else list(metrics)
    parts = [
        pd.DataFrame(evaluate(table, resamples=resamples, names=chosen)).assign(
            **identity, protocol=name, engine=table.meta["engine"]
        )
        for name, table in tables.items()
    ]
    return pd.concat(parts)


def shift_rows(shifts: Mapping[str, pd.DataFrame], run_id: str) -> pd.DataFrame:
    """Return the rows of ``shifts.csv`` from the results of :func:`per_shift` by protocol.

    Columns are in the order of the file; the axes of all protocols are adjacent.
    """
    rows = pd.concat([frame.assign(run_id=run_id, protocol=name) for name, frame in shifts.items()])
    axes = [name for frame in shifts.values() for name in axes_of(list(frame.columns))]
    first = in_order(("run_id", "protocol"), axes)
    return rows[in_order(first, [name for name in rows.columns if name not in first])]


def shifts_of(tables: Mapping[str, PredictionTable]) -> dict[str, pd.DataFrame]:
    """Return the means over images for every shift, by the name of the protocol."""
    return {name: per_shift(table) for name, table in tables.items()}
