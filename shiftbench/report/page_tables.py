"""The result tables of a page: which cells, which of them are best, what is missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from shiftbench.metric import about
from shiftbench.report.best import NO_MARKS, Best, Marked, meaning
from shiftbench.report.interval_kinds import kinds_in, legend, mark
from shiftbench.report.study import panel_labels, panels
from shiftbench.report.terminal import FIRST

MAIN = (*FIRST, "worst_accuracy", "top1_change")
BEST = "best"
MOST_ROWS = 300  # of the table of every metric; summary.csv has them all


@dataclass(frozen=True)
class Cell:
    """A value as it is shown and as it is sorted; ``mark``: ``best``, ``better``, ``worse``.

    ``best`` are all that cannot be distinguished from the best.
    """

    text: str
    spread: str = ""
    interval: str = ""
    value: float | None = None
    mark: str = ""


@dataclass(frozen=True)
class Row:
    """A configuration: its name, what there is to say of it, its cells."""

    label: str
    config_id: str
    notes: list[str]
    cells: list[Cell]


@dataclass(frozen=True)
class Column:
    """A column's name, its arrow, and what it says in a line."""

    name: str
    arrow: str = ""
    about: str = ""


@dataclass(frozen=True)
class Table:
    """The table of one protocol and data set; ``shown`` is a remark beside its title."""

    key: str
    title: str
    shown: str
    columns: list[Column]
    rows: list[Row]


def metric_names(summary: pd.DataFrame) -> list[str]:
    """Return the metrics of a summary in the order of its columns."""
    ending = "_ci_low"
    return [name.removesuffix(ending) for name in map(str, summary) if name.endswith(ending)]


def result_tables(
    summary: pd.DataFrame, names: Sequence[str], best: Best = NO_MARKS
) -> Iterator[Table]:
    """Yield a table per data set and protocol, configurations without a finished run at its end.

    Args:
        summary: One row per configuration and protocol.
        names: The metrics to show; those that no row has are left out.
        best: Says which cells are marked; none by default.
    """
    named = summary.assign(label=panel_labels(summary)) if len(summary) else summary
    unfinished = named[named["protocol"].fillna("") == ""] if len(named) else named
    for panel in panels(summary):
        rows = panel.rows
        shown = [name for name in names if name in rows and rows[name].notna().any()]
        of_data = unfinished[unfinished["data"].isin(["", rows["data"].iloc[0]])]
        every = pd.concat([rows, of_data]) if len(of_data) else rows
        config_ids, protocol = [*map(str, rows["config_id"])], str(rows["protocol"].iloc[0])
        marked = {name: best.marked(config_ids, protocol, name) for name in shown}
        kinds = kinds_in(rows, shown)
        yield Table(
            panel.key,
            panel.title,
            " · ".join(_remarks(rows, kinds, meaning(marked.values()))),
            [column_of(name) for name in shown],
            [_row(row, shown, marked, kinds) for row in every.to_dict("records")],
        )


def column_of(name: str) -> Column:
    """Return a metric's column, with the first line of its documentation."""
    metric = about(name)
    return Column(name, metric.arrow, metric.summary) if metric else Column(name)


def _row(
    row: dict[Any, Any], names: Sequence[str], marked: dict[str, Marked], kinds: tuple[str, ...]
) -> Row:
    cells = [_metric_cell(row, name, marked[name], kinds) for name in names]
    runs = Cell(f"{int(row['done'])}/{int(row['runs'])}", value=float(row["done"]))
    counts = [_count_cell(row.get(name)) for name in ("params", "macs")]
    notes = [
        f"{int(row[name])} {name}" for name in ("failed", "stopped", "missing") if row[name] > 0
    ]
    return Row(str(row["label"]), str(row["config_id"]), notes, [*cells, runs, *counts])


def _metric_cell(row: dict[Any, Any], name: str, marked: Marked, kinds: tuple[str, ...]) -> Cell:
    value, spread, low, high = (
        row.get(f"{name}{end}") for end in ("", "_sd", "_ci_low", "_ci_high")
    )
    if pd.isna(value):
        return Cell("–")
    kind = mark(str(row.get(f"{name}_interval") or ""), kinds)
    return Cell(
        text=f"{value:.3f}",
        spread="" if pd.isna(spread) else f"±{spread:.3f}",
        interval="" if pd.isna(low) or pd.isna(high) else f"[{low:.3f} {high:.3f}]{kind}",
        value=float(value),
        mark=BEST if str(row["config_id"]) in marked.config_ids else "",
    )


def _count_cell(value: Any) -> Cell:
    if value is None or pd.isna(value):
        return Cell("–")
    return Cell(short_count(float(value)), value=float(value))


def short_count(value: float) -> str:
    """Return a count in three digits.

    >>> [short_count(value) for value in (17.0, 2_345.0, 1_234_567.0)]
    ['17', '2.35k', '1.23M']
    """
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:g}"


def _remarks(rows: pd.DataFrame, kinds: tuple[str, ...], marks: str) -> Iterator[str]:
    """Yield what stands beside the title of a table."""
    if counts := _counts(rows):
        yield counts
    if kinds:
        yield f"[{legend(kinds)}]"
    if marks:
        yield f"shaded: {marks}"


def _counts(rows: pd.DataFrame) -> str:
    """Return ``1,000 images × 32 shifts``."""
    parts = []
    for name, unit in (("n_images", "images"), ("n_shifts", "shifts")):
        found = sorted(rows[name].dropna().unique())
        if found:
            ends = dict.fromkeys(f"{int(value):,}" for value in (found[0], found[-1]))
            parts.append(f"{'–'.join(ends)} {unit}")
    return " × ".join(parts)
