"""The tables of paired differences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from shiftbench.report.tables.grid import NOTHING, Cell, Column, Grid, Line
from shiftbench.report.tables.labels import NAMED_BY, labels
from shiftbench.report.tables.paired_interval import direction

PAIRS = Column("seeds", about="pairs of runs")


def difference_grids(
    rows: pd.DataFrame, metrics: Sequence[str], protocol: str | None = None
) -> list[Grid]:
    """Return a table for every protocol, a column for every label that varies.

    Args:
        rows: From :func:`~shiftbench.report.tables.differences.differences`.
        metrics: The columns.
        protocol: The only protocol to show; all by default.
    """
    if protocol is not None:
        rows = rows[rows["protocol"] == protocol]
    found = []
    for name, part in rows.groupby("protocol", sort=False):
        group = str(part["group"].iloc[0])
        heads = [one for one in (*NAMED_BY, "differs") if one == group or part[one].nunique() > 1]
        lines = [
            Line(tuple(str(one[head].iloc[0]) for head in heads), _cells(one, metrics),
                 str(one["data"].iloc[0]))
            for _, one in part.groupby("config_id", sort=False)
        ]  # fmt: skip
        found.append(_grid(part, str(name), heads, lines, list(map(Column.of, metrics))))
    return found


def panel_difference_grids(rows: pd.DataFrame | None, metrics: Sequence[str]) -> list[Grid]:
    """Return a table for every data set and protocol, with the labels in one column.

    Args:
        rows: As for :func:`difference_grids`; None for no tables.
        metrics: The columns; those without a row in a table are left out.
    """
    if rows is None or rows.empty:
        return []
    several = rows["data"].nunique() > 1
    found = []
    for (data, protocol), part in rows.groupby(["data", "protocol"], sort=False):
        shown = [name for name in metrics if name in set(part["metric"])]
        title = f"{data}, {protocol}" if several else str(protocol)
        lines = [
            Line((name,), (*_cells(one, shown), _pairs(one)), str(data), _notes(one))
            for name, one in zip(_names(part), _by_config(part), strict=True)
        ]
        columns = [*map(Column.of, shown), PAIRS]
        found.append(_grid(part, title, ["configuration"], lines, columns))
    return found


def _grid(
    rows: pd.DataFrame,
    title: str,
    heads: Sequence[str],
    lines: Sequence[Line],
    columns: Sequence[Column],
) -> Grid:
    first = rows.iloc[0]
    kinds = " or ".join(kind for kind in dict.fromkeys(rows["kind"]) if kind)
    notes = [f"variant - reference, paired{f' [95 % interval over {kinds}]' if kinds else ''}"]
    if len(set(rows["differs"])) == 1 and first["differs"]:
        notes.append(f"pairs differ in {first['differs']} too")
    some = any(cell.mark for line in lines for cell in line.cells)
    return Grid(
        title, tuple(heads), tuple(columns), tuple(lines),
        common=f"difference from {first['group']}={first['reference']}", notes=tuple(notes),
        mark="the interval leaves 0 out" if some else "", file="differences.csv",
    )  # fmt: skip


def _by_config(rows: pd.DataFrame) -> list[pd.DataFrame]:
    return [part for _, part in rows.groupby("config_id", sort=False)]


def _names(rows: pd.DataFrame) -> list[str]:
    """Return labels that distinguish the configurations; the variant if nothing does."""
    variants = rows.drop_duplicates("config_id")
    named = labels(variants)
    return list(named.where(named != "as given", variants["variant"].astype(str)))


def _notes(rows: pd.DataFrame) -> tuple[str, ...]:
    differs = rows["differs"].iloc[0]
    return (f"pairs differ in {differs} too",) if differs else ()


def _pairs(rows: pd.DataFrame) -> Cell:
    seeds = int(rows["seeds"].max())
    return Cell(str(seeds), value=float(seeds))


def _cells(rows: pd.DataFrame, metrics: Sequence[str]) -> tuple[Cell, ...]:
    by_metric = {str(row["metric"]): row for row in rows.to_dict("records")}
    return tuple(_cell(by_metric.get(name)) for name in metrics)


def _cell(row: Mapping[Any, Any] | None) -> Cell:
    if row is None or math.isnan(row["difference"]):
        return Cell(NOTHING)
    text, low, high = (f"{row[name]:+z.3f}" for name in ("difference", "ci_low", "ci_high"))
    value = float(row["difference"])
    if math.isnan(row["ci_low"]):
        return Cell(text, value=value)
    found = direction(str(row["metric"]), row["ci_low"], row["ci_high"])
    return Cell(text, interval=(low, high), mark=found, value=value)
