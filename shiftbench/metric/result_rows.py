"""From prediction tables to the rows of ``metrics.csv`` and ``shifts.csv``; no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from shiftbench.metric import evaluate, per_shift
from shiftbench.prediction_table import PredictionTable


def metric_rows(
    tables: Mapping[str, PredictionTable], identity: Mapping[str, Any], resamples: int
) -> pd.DataFrame:
    """Return the rows of ``metrics.csv``.

    Args:
        tables: What was answered, by the name of the protocol.
        identity: The columns that are the same in every row.
        resamples: Of the images, for the intervals.
    """
    parts = [
        pd.DataFrame(evaluate(table, resamples=resamples)).assign(
            **identity, protocol=name, engine=table.meta["engine"]
        )
        for name, table in tables.items()
    ]
    return pd.concat(parts)


def shift_rows(shifts: Mapping[str, pd.DataFrame], run_id: str) -> pd.DataFrame:
    """Return the rows of ``shifts.csv``, of what :func:`per_shift` returned by protocol."""
    return pd.concat([frame.assign(run_id=run_id, protocol=name) for name, frame in shifts.items()])


def shifts_of(tables: Mapping[str, PredictionTable]) -> dict[str, pd.DataFrame]:
    """Return the means over images for every shift, by the name of the protocol."""
    return {name: per_shift(table) for name, table in tables.items()}
