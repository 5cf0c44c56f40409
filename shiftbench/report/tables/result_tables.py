"""The tables of a summary: their cells, labels and marks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from shiftbench.errors import UsageError, require_one_of
from shiftbench.metric import METRICS
from shiftbench.report.tables.best import NO_MARKS, Best, meaning
from shiftbench.report.tables.grid import (
    BEST,
    FAILED,
    MISSING,
    NOTHING,
    STOPPED,
    Cell,
    Column,
    Grid,
    Line,
)
from shiftbench.report.tables.interval_kinds import kinds_in, legend, mark
from shiftbench.report.tables.labels import ShortLabels, shared, varying
from shiftbench.report.tables.panels import Panel
from shiftbench.report.tables.run_table import FIRST
from shiftbench.report.tables.summary import metrics_of
from shiftbench.storage.result_files import STEP

# Columns shown by default, by priority if the width does not suffice for all.
SHOWN = ("accuracy", "consistency", "correct_consistency", "top1_change", "chance_consistency",
         "shift_accuracy", "worst_accuracy")  # fmt: skip
MAIN = (*FIRST, "worst_accuracy", "top1_change")
"""The columns of a page's main tables, before those of all metrics."""
STEP_METRICS = frozenset(("top1_change", "mean_absolute_change", "jaggedness"))
COUNTED = (Column("runs", about="runs that are done, of those there should be"),
           Column("params", about="parameters"),
           Column("macs", about="multiply-adds per image"))  # fmt: skip

Records = Sequence[Mapping[str, Any]]


def grids(
    summary: pd.DataFrame,
    metrics: Sequence[str] = (),
    protocol: str | None = None,
    best: Best = NO_MARKS,
) -> list[Grid]:
    """Return a table for every protocol, a column for every label that varies.

    Args:
        summary: From :func:`~shiftbench.report.tables.summary.summarise`.
        metrics: The columns; :data:`SHOWN` by default.
        protocol: The only protocol to show; all by default.
        best: Selects the marked cells; none by default.

    Raises:
        UsageError: If a metric or the protocol is not among the results.
    """
    chosen = chosen_metrics(summary, metrics)
    short = ShortLabels.of(summary)
    summary = short.on(summary)
    protocols = [name for name in dict.fromkeys(summary["protocol"]) if name]
    if protocol is not None:
        require_one_of("--protocol", protocol, protocols)
        protocols = [protocol]
    names = varying(summary) or ["pool"]
    found = []
    for name in protocols or [""]:
        # Configurations without results have a row under every protocol.
        rows = summary[summary["protocol"].isin([name, ""])]
        common = " · ".join([*_common(rows, names), *short.left_out])
        found.append(_with_labels(rows, name, names, chosen, best, common))
    return found


def panel_grids(
    panels: Sequence[Panel], metrics: Sequence[str], best: Best = NO_MARKS
) -> list[Grid]:
    """Return a table for every panel, with labels in one column and unfinished rows at the end.

    Args:
        panels: Panels of the summary.
        metrics: The columns; those without a value in a panel are left out.
        best: Selects the marked cells; none by default.
    """
    found = []
    for panel in panels:
        rows = panel.rows
        shown = [name for name in metrics if name in rows and rows[name].notna().any()]
        every = pd.concat([rows, panel.unfinished]) if len(panel.unfinished) else rows
        records = _records(every)
        cells, mark_meaning = _cells(records, panel.protocol, shown, best, kinds_in(rows, shown))
        lines = [
            Line((str(row["label"]),), (*of_row, *_counted(row)), str(row["data"]), _undone(row))
            for row, of_row in zip(records, cells, strict=True)
        ]
        found.append(Grid(
            panel.title, ("configuration",), (*map(Column.of, shown), *COUNTED), tuple(lines),
            notes=tuple(_notes(rows, shown, intervals=True)), mark=mark_meaning,
        ))  # fmt: skip
    return found


def chosen_metrics(summary: pd.DataFrame, wanted: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the requested metrics, or the default ones and user-defined ones."""
    present = metrics_of(summary)
    if not wanted:
        usual = [name for name in SHOWN if name in present]
        return (*usual, *(name for name in present if name not in METRICS)) or SHOWN[:2]
    for name in wanted:
        require_one_of("--metrics", name, present or list(METRICS))
    if not present:
        raise UsageError(f"--metrics {','.join(wanted)}: no run is finished, there are no metrics")
    return tuple(dict.fromkeys(wanted))


def _records(rows: pd.DataFrame) -> Records:
    found: list[Mapping[str, Any]] = rows.to_dict("records")  # type: ignore[assignment]
    return found


def _with_labels(
    rows: pd.DataFrame,
    protocol: str,
    names: Sequence[str],
    metrics: Sequence[str],
    best: Best,
    common: str,
) -> Grid:
    records = _records(rows)
    # Next to deviations over seeds, an interval over images would be mistaken for one over seeds.
    intervals = bool((rows["done"] < 2).all())
    kinds = kinds_in(rows, metrics) if intervals else None
    cells, mark_meaning = _cells(records, protocol, metrics, best, kinds)
    seeds = [", ".join([str(row["done"]), *_undone(row)]) for row in records]
    counted = len(set(seeds)) > 1 or not seeds[0].isdigit()
    lines = [
        Line((*(str(row[name]) for name in names), *([count] if counted else [])), of_row,
             str(row["data"]))
        for row, count, of_row in zip(records, seeds, cells, strict=True)
    ]  # fmt: skip
    heads = (*names, *(["seeds"] if counted else []))
    notes = tuple(_notes(rows, metrics, intervals=intervals))
    columns = tuple(map(Column.of, metrics))
    return Grid(protocol, heads, columns, tuple(lines), common, notes, mark_meaning)


def _common(rows: pd.DataFrame, names: Sequence[str]) -> Iterator[str]:
    for name, (value, *_) in shared(rows, names):
        yield value if name in ("data", "model") else f"{name}={value}"


def _notes(rows: pd.DataFrame, metrics: Sequence[str], *, intervals: bool) -> Iterator[str]:
    done = sorted({int(count) for count in rows["done"] if count})
    if any(count > 1 for count in done):
        yield f"mean ± sd over {f'{done[0]} seeds' if len(done) == 1 else 'seeds'}"
    if done and intervals:
        yield f"[{legend(kinds_in(rows, metrics))}]"
    if size := _size(rows[rows["done"] > 0]):
        yield size
    steps = sorted(set(rows[STEP].dropna()) - {"1 px"}) if STEP in rows else []
    if steps and STEP_METRICS & set(metrics):
        yield f"one step: {', '.join(steps)}"


def _size(rows: pd.DataFrame) -> str:
    """Return ``1,000 images × 32 shifts``."""
    parts = []
    for name, unit in (("n_images", "images"), ("n_shifts", "shifts")):
        found = sorted(rows[name].dropna().unique())
        if found:
            ends = dict.fromkeys(f"{int(value):,}" for value in (found[0], found[-1]))
            parts.append(f"{'–'.join(ends)} {unit}")
    return " × ".join(parts)


def _undone(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the number of unfinished seeds by reason, e.g. ``("1 failed",)``."""
    return tuple(f"{int(row[state])} {state}" for state in (FAILED, STOPPED, MISSING) if row[state])


def _cells(
    records: Records,
    protocol: str,
    metrics: Sequence[str],
    best: Best,
    kinds: tuple[str, ...] | None,
) -> tuple[list[tuple[Cell, ...]], str]:
    """Return the cells of every row and the meaning of a mark; no intervals for ``kinds`` None."""
    marked = best.columns(records, protocol, metrics)
    cells = [
        tuple(
            _cell(row, name, kinds,
                  str(row["config_id"]) in marked[str(row["data"]), name].config_ids)
            for name in metrics
        )
        for row in records
    ]  # fmt: skip
    some = any(cell.mark for of_row in cells for cell in of_row)
    return cells, meaning(marked.values()) if some else ""


def _cell(row: Mapping[str, Any], name: str, kinds: tuple[str, ...] | None, best: bool) -> Cell:
    if not row["done"]:
        return Cell(next((state for state in (FAILED, STOPPED) if row[state]), MISSING))
    value, sd, low, high = (
        float(row.get(f"{name}{end}", math.nan)) for end in ("", "_sd", "_ci_low", "_ci_high")
    )
    if math.isnan(value):
        return Cell(NOTHING)
    without = kinds is None or math.isnan(low) or math.isnan(high)
    return Cell(
        text=f"{value:.3f}",
        sd="" if math.isnan(sd) else f"{sd:.3f}",
        interval=None if without else (f"{low:.3f}", f"{high:.3f}"),
        kind="" if without else mark(str(row.get(f"{name}_interval") or ""), kinds or ()),
        mark=BEST if best else "",
        value=value,
    )


def _counted(row: Mapping[str, Any]) -> Iterator[Cell]:
    """Yield the cells of :data:`COUNTED`."""
    yield Cell(f"{int(row['done'])}/{int(row['runs'])}", value=float(row["done"]))
    for name in ("params", "macs"):
        value = float(row.get(name, math.nan))
        yield Cell(NOTHING) if math.isnan(value) else Cell(short_count(value), value=value)


def short_count(value: float) -> str:
    """Return a count with three significant digits.

    >>> [short_count(value) for value in (17.0, 2_345.0, 1_234_567.0)]
    ['17', '2.35k', '1.23M']
    """
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:g}"
