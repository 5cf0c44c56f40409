"""The cells of the tables of paired differences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from shiftbench.report.cells import NOTHING, Cell, Grid, Line
from shiftbench.report.study import LABELS as NAMED_BY


def difference_grids(
    rows: pd.DataFrame, metrics: Sequence[str], protocol: str | None = None
) -> list[Grid]:
    """Return a table for every protocol.

    Args:
        rows: What :func:`~shiftbench.report.differences.differences` returned.
        metrics: The columns.
        protocol: The only one to show.
    """
    if protocol is not None:
        rows = rows[rows["protocol"] == protocol]
    return [_grid(part, str(name), metrics) for name, part in rows.groupby("protocol", sort=False)]


def _grid(rows: pd.DataFrame, protocol: str, metrics: Sequence[str]) -> Grid:
    first = rows.iloc[0]
    group = str(first["group"])
    names = [name for name in (*NAMED_BY, "differs") if name == group or rows[name].nunique() > 1]
    lines = [_line(part, names, metrics) for _, part in rows.groupby("config_id", sort=False)]
    reference = f"difference from {group}={first['reference']}"
    kinds = " or ".join(kind for kind in dict.fromkeys(rows["kind"]) if kind)
    note = f"variant - reference, paired{f' [95 % interval over {kinds}]' if kinds else ''}"
    if "differs" not in names and first["differs"]:
        note += f" · pairs differ in {first['differs']} too"
    return Grid(protocol, reference, tuple(names), tuple(metrics), tuple(lines), note,
                mark="the interval leaves 0 out", file="differences.csv")  # fmt: skip


def _line(rows: pd.DataFrame, names: Sequence[str], metrics: Sequence[str]) -> Line:
    records: list[dict[str, Any]] = rows.to_dict("records")  # type: ignore[assignment]
    by_metric = {row["metric"]: row for row in records}
    first = rows.iloc[0]
    return Line(
        labels=tuple(str(first[name]) for name in names),
        seeds=str(rows["seeds"].max()),
        data=str(first["data"]),
        cells=tuple(_cell(by_metric.get(name)) for name in metrics),
    )


def _cell(row: Mapping[str, Any] | None) -> Cell:
    if row is None or math.isnan(row["difference"]):
        return Cell(NOTHING)
    text, low, high = (f"{row[name]:+z.3f}" for name in ("difference", "ci_low", "ci_high"))
    if math.isnan(row["ci_low"]):
        return Cell(text)
    # Seeds that differ by exactly the same say nothing about how far others would be off.
    apart = low != high and (row["ci_low"] > 0 or row["ci_high"] < 0)
    return Cell(text, interval=(low, high), marked=bool(apart))
