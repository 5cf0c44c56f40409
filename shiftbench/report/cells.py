"""The cells of the summary's tables, computed once for the terminal, markdown and LaTeX."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from shiftbench.errors import UsageError, require_one_of
from shiftbench.metric import METRICS, arrow_of
from shiftbench.report.best import NO_MARKS, Best, meaning
from shiftbench.report.interval_kinds import kinds_in, mark
from shiftbench.report.interval_kinds import legend as interval_legend
from shiftbench.report.short_labels import ShortLabels
from shiftbench.report.study import LABELS as NAMED_BY

# What is shown unless told, the first of them where there is not room for all.
SHOWN = ("accuracy", "consistency", "correct_consistency", "top1_change", "chance_consistency",
         "shift_accuracy", "worst_accuracy")  # fmt: skip
FAILED, STOPPED, MISSING, NOTHING = "failed", "stopped", "missing", "–"


@dataclass(frozen=True)
class Cell:
    """A metric of a configuration.

    Attributes:
        text: The mean over seeds; where there is none ``failed``, ``stopped``, ``missing`` or
            ``–``.
        sd: Its standard deviation over seeds; '' for one seed.
        interval: Its 95 % interval, None where it is not shown: beside deviations over seeds it
            would be taken for one.
        marked: Whether it stands out; :attr:`Grid.mark` says by what.
        kind: The letters that the kind of its interval has in the legend, '' for the usual kind.
    """

    text: str
    sd: str = ""
    interval: tuple[str, str] | None = None
    marked: bool = False
    kind: str = ""

    @property
    def is_number(self) -> bool:
        """Whether it is the value of a metric."""
        return self.text not in (FAILED, STOPPED, MISSING, NOTHING)


@dataclass(frozen=True)
class Line:
    """A configuration.

    Attributes:
        labels: What tells it from the others.
        seeds: How many finished, and how many did not.
        data: Its data set; only what saw the same data is compared.
        cells: One for every metric of the table.
    """

    labels: tuple[str, ...]
    seeds: str
    data: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Grid:
    """The table of one protocol.

    Attributes:
        protocol: Its name.
        common: What all configurations share.
        labels: Names of the labels that tell them apart.
        metrics: Names of the metrics.
        lines: One for every configuration, none left out.
        note: What the cells are.
        mark: What a marked cell is.
        file: Where all metrics are.
    """

    protocol: str
    common: str
    labels: tuple[str, ...]
    metrics: tuple[str, ...]
    lines: tuple[Line, ...]
    note: str
    mark: str
    file: str = "summary.csv"

    @property
    def seeds_differ(self) -> bool:
        """Whether the seeds need a column of their own."""
        return len({line.seeds for line in self.lines}) > 1 or not self.lines[0].seeds.isdigit()


def grids(
    summary: pd.DataFrame,
    metrics: Sequence[str] = (),
    protocol: str | None = None,
    best: Best = NO_MARKS,
) -> list[Grid]:
    """Return a table for every protocol.

    Args:
        summary: What :func:`~shiftbench.report.summary.summarise` returned.
        metrics: The columns; :data:`SHOWN` by default.
        protocol: The only one to show.
        best: Says which cells are marked; none by default.

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
    names = _varying(summary)
    found = [_grid(_part(summary, name), name, names, chosen, best) for name in protocols or [""]]
    return [
        replace(grid, common=" · ".join(filter(None, [grid.common, *short.left_out])))
        for grid in found
    ]


def chosen_metrics(summary: pd.DataFrame, wanted: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the metrics to show: those wanted, or the usual ones and what others have added."""
    present = [name[:-3] for name in summary.columns if name.endswith("_sd")]
    if not wanted:
        usual = [name for name in SHOWN if name in present]
        return (*usual, *(name for name in present if name not in METRICS)) or SHOWN[:2]
    for name in wanted:
        require_one_of("--metrics", name, present or list(METRICS))
    if not present:
        raise UsageError(f"--metrics {','.join(wanted)}: no run is finished, there are no metrics")
    return tuple(dict.fromkeys(wanted))


def _part(summary: pd.DataFrame, protocol: str) -> pd.DataFrame:
    """Return the rows of a protocol, and of what has not been measured at all."""
    return summary[summary["protocol"].isin([protocol, ""])]


def _varying(summary: pd.DataFrame) -> list[str]:
    """Return the labels that tell configurations apart; ``pool`` where there is but one."""
    # A job without a run knows the labels that it was given, not those of the defaults.
    known = summary[summary["config_id"] != ""]
    names = [
        name for name in NAMED_BY
        if len({*known[name], *summary.loc[summary[name] != "", name]}) > 1
    ]  # fmt: skip
    if len(known) < len(summary) and "settings" not in names and (summary["settings"] != "").any():
        names.append("settings")
    return names or ["pool"]


def _grid(
    rows: pd.DataFrame,
    protocol: str,
    names: Sequence[str],
    metrics: tuple[str, ...],
    best: Best,
) -> Grid:
    records: list[Mapping[str, Any]] = rows.to_dict("records")  # type: ignore[assignment]
    intervals = bool((rows["done"] < 2).all())
    kinds = kinds_in(rows, metrics) if intervals else ()
    marked = best.columns(records, protocol, metrics)
    lines = [
        Line(
            labels=tuple(str(row[name]) for name in names),
            seeds=_seeds(row),
            data=str(row["data"]),
            cells=tuple(
                replace(
                    _cell(row, name, intervals, kinds),
                    marked=str(row["config_id"]) in marked[str(row["data"]), name].config_ids,
                )
                for name in metrics
            ),
        )
        for row in records
    ]
    common = " · ".join(_common(rows, names))
    note = " · ".join(_note(rows, kinds))
    return Grid(
        protocol, common, tuple(names), metrics, tuple(lines), note, meaning(marked.values())
    )


def _common(rows: pd.DataFrame, names: Sequence[str]) -> Iterator[str]:
    for name in NAMED_BY:
        found = [value for value in dict.fromkeys(rows[name]) if value]
        if name not in names and found:
            yield str(found[0]) if name in ("data", "model") else f"{name}={found[0]}"


def _note(rows: pd.DataFrame, kinds: tuple[str, ...]) -> Iterator[str]:
    done = sorted({int(count) for count in rows["done"] if count})
    if any(count > 1 for count in done):
        yield f"mean ± sd over {f'{done[0]} seeds' if len(done) == 1 else 'seeds'}"
    elif done:
        yield f"[{interval_legend(kinds)}]"
    measured = rows[rows["done"] > 0]
    sizes = set(zip(measured["n_images"], measured["n_shifts"], strict=True))
    if len(sizes) == 1:
        [(images, shifts)] = sizes
        yield f"{int(images):,} images × {int(shifts):,} shifts"


def _seeds(row: Mapping[str, Any]) -> str:
    parts = [str(row["done"])]
    parts += [f"{row[state]} {state}" for state in (FAILED, STOPPED, MISSING) if row[state]]
    return ", ".join(parts)


def _cell(row: Mapping[str, Any], name: str, intervals: bool, kinds: tuple[str, ...]) -> Cell:
    if not row["done"]:
        return Cell(next((state for state in (FAILED, STOPPED) if row[state]), MISSING))
    value, sd, low, high = (
        float(row.get(f"{name}{end}", math.nan)) for end in ("", "_sd", "_ci_low", "_ci_high")
    )
    if math.isnan(value):
        return Cell(NOTHING)
    if not math.isnan(sd):
        return Cell(f"{value:.3f}", sd=f"{sd:.3f}")
    if not intervals or math.isnan(low) or math.isnan(high):
        return Cell(f"{value:.3f}")
    kind = mark(str(row.get(f"{name}_interval") or ""), kinds)
    return Cell(f"{value:.3f}", interval=(f"{low:.3f}", f"{high:.3f}"), kind=kind)


def arrow(name: str) -> str:
    """Return the better direction of a metric, '' where there is none or it is not known."""
    return arrow_of(name).strip(NOTHING)


def heads(grid: Grid) -> list[str]:
    """Return the heads of the columns to the left of the metrics."""
    return [*grid.labels, *(["seeds"] if grid.seeds_differ else [])]


def names(grid: Grid, line: Line) -> list[str]:
    """Return what stands in those columns."""
    return [*line.labels, *([line.seeds] if grid.seeds_differ else [])]


def legend(grid: Grid, sign: str) -> str:
    """Return what the cells are, and what ``sign`` says of one."""
    marked = any(cell.marked for line in grid.lines for cell in line.cells)
    return " · ".join(filter(None, [f"{sign} {grid.mark}" if marked else "", grid.note]))
