"""Conversion of prediction tables to rows of result files; no torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from shiftbench.metric import Metric, evaluate, per_phase, per_radius, per_shift
from shiftbench.prediction_table import PredictionTable
from shiftbench.storage.result_files import (
    PHASE_COLUMNS,
    RADIUS_COLUMNS,
    axes_of,
    csv_text,
    in_order,
)


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

    Returns:
        The rows; they have a column ``step``, e.g. ``1 px`` or ``10°``, if the steps of some
        protocol are not pixels.
    """
    chosen = None if metrics is None else list(metrics)
    parts = [
        pd.DataFrame(evaluate(table, resamples=resamples, names=chosen)).assign(
            **identity, protocol=name, engine=table.meta["engine"]
        )
        for name, table in tables.items()
    ]
    rows = pd.concat(parts)
    steps = {
        name: str(table.meta["step"]) for name, table in tables.items() if "step" in table.meta
    }
    return rows.assign(step=rows["protocol"].map(steps).fillna("1 px")) if steps else rows


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


def radius_rows(tables: Mapping[str, PredictionTable], run_id: str, resamples: int) -> pd.DataFrame:
    """Return the rows of ``radius.csv``, see :func:`~shiftbench.metric.radius.per_radius`."""
    found = {name: per_radius(table, resamples=resamples) for name, table in tables.items()}
    return _of_protocols(found, RADIUS_COLUMNS, run_id=run_id)


def phase_rows(shifts: Mapping[str, pd.DataFrame], run_id: str, period: int) -> pd.DataFrame:
    """Return the rows of ``phase.csv`` from the results of :func:`per_shift` by protocol.

    Args:
        shifts: Means for every shift, by protocol.
        run_id: Name of the run.
        period: The network's total stride in pixels; for less than 2 px there are no phases.
    """
    found = {name: per_phase(frame, period) for name, frame in shifts.items() if period > 1}
    return _of_protocols(found, PHASE_COLUMNS, run_id=run_id, period=period)


def _of_protocols(
    found: Mapping[str, pd.DataFrame], columns: Sequence[str], **identity: Any
) -> pd.DataFrame:
    """Return the rows of all protocols, without those that have none."""
    parts = [frame.assign(protocol=name, **identity) for name, frame in found.items() if len(frame)]
    return pd.concat(parts)[list(columns)] if parts else pd.DataFrame(columns=list(columns))


def curve_texts(radius: pd.DataFrame, phase: pd.DataFrame) -> dict[str, str]:
    """Return the texts of ``radius.csv`` and ``phase.csv`` by name, of those that have rows."""
    files = {"radius.csv": (radius, RADIUS_COLUMNS), "phase.csv": (phase, PHASE_COLUMNS)}
    return {name: csv_text(rows, columns) for name, (rows, columns) in files.items() if len(rows)}
