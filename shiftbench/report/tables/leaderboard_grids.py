"""The tables of a leaderboard, for terminal, markdown, LaTeX and page."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from shiftbench.inference.kinds import IMAGES
from shiftbench.metric import about
from shiftbench.report.load.records import Collection
from shiftbench.report.tables.best import Best
from shiftbench.report.tables.grid import BEST, NOTHING, Cell, Column, Grid, Line
from shiftbench.report.tables.leaderboard import (
    LEADERBOARD_COLUMNS,
    Leaderboard,
    Number,
    column_name,
    leaderboards,
)
from shiftbench.report.tables.markup import markdown
from shiftbench.report.tables.ranks import range_text
from shiftbench.report.tables.result_tables import short_count

SHOWN = ("accuracy", "consistency", "correct_consistency")
FILE = "leaderboard.csv"
MARK = "may have rank 1"
RANGES = "a rank is every one that simultaneous 95 % intervals of the differences leave possible"
ONE_SEED = "one seed: another training seed may change these ranks"
CHANCE_NOTE = (
    "– near chance, without a rank: accuracy is at most a quarter of the way from chance to 1"
)


@dataclass(frozen=True)
class Ranked:
    """A leaderboard of a report.

    Attributes:
        tables: One for all configurations that are ranked against each other.
        grids: Their tables.
    """

    tables: tuple[Leaderboard, ...]
    grids: tuple[Grid, ...]

    @classmethod
    def of(
        cls,
        collection: Collection,
        summary: pd.DataFrame,
        best: Best,
        metric: str,
        protocol: str,
        metrics: Sequence[str] = (),
        only: str | None = None,
    ) -> Ranked:
        """Return the leaderboard of a collection.

        Args:
            collection: The runs.
            summary: Their summary.
            best: Compares their metrics.
            metric: The metric that ranks them.
            protocol: The protocol under which it does.
            metrics: Further columns; :data:`SHOWN` by default.
            only: The only protocol with columns of its own; all by default.
        """
        tables, without = leaderboards(collection, summary, best, metric, protocol)
        found = [leaderboard_grid(table, metrics, only) for table in tables]
        if without and found:
            lacking = f"not listed: {without} configurations without {metric} under {protocol}"
            found[-1] = replace(found[-1], notes=(*found[-1].notes, lacking))
        return cls(tuple(tables), tuple(found))

    def rows(self) -> pd.DataFrame:
        """Return the rows of ``leaderboard.csv``."""
        return pd.concat([table.rows for table in self.tables], ignore_index=True)

    def columns(self) -> list[str]:
        """Return its columns."""
        numbers = dict.fromkeys(number for table in self.tables for number in table.numbers)
        return [*LEADERBOARD_COLUMNS, *map(column_name, numbers)]

    def markdown(self, banner: str = "") -> str:
        """Return the text of ``leaderboard.md``."""
        start = ["# Leaderboard\n"] + ([f"**{banner}.**\n"] if banner else [])
        return "\n".join([*start, *map(markdown, self.grids)])


def leaderboard_grid(
    table: Leaderboard, metrics: Sequence[str] = (), only: str | None = None
) -> Grid:
    """Return the table of a leaderboard; the first columns are those that fit 80 characters.

    Args:
        table: The leaderboard.
        metrics: Its columns besides the one that ranks; :data:`SHOWN` by default.
        only: The only protocol with columns of its own; all by default.
    """
    rows = table.rows.to_dict("records")
    names = list(_metric_columns(table, metrics or SHOWN, only))
    first, rest = names[:1], names[1:]
    columns = (_column(table.metric, table.protocol), *(_column(*one) for one in first),
               *_counted(table), *(_column(*one) for one in rest))  # fmt: skip
    lines = [
        Line(
            _labels(row),
            (_ranked_cell(row), *(_plain(row, column_name(one)) for one in first), *_counts(row),
             *(_plain(row, column_name(one)) for one in rest)),
            f"{row['data']} {row['unranked']}",
        )
        for row in rows
    ]  # fmt: skip
    some = any(cell.mark for line in lines for cell in line.cells)
    return Grid(
        table.title, ("rank", "configuration"), columns, tuple(lines), f"equal: {table.equal}",
        tuple(_notes(table)), MARK if some else "", FILE,
    )  # fmt: skip


def _metric_columns(
    table: Leaderboard, metrics: Sequence[str], only: str | None
) -> Iterator[Number]:
    """Yield metric and protocol of each column with a value, those of the ranking protocol first.

    The accuracy on unshifted images is shown once if it is the same under all protocols.
    """
    for protocol in dict.fromkeys([table.protocol, *(one for _, one in table.numbers)]):
        if only is not None and protocol not in (only, table.protocol):
            continue
        for metric in metrics:
            number = (metric, protocol)
            if number not in table.numbers or number == (table.metric, table.protocol):
                continue
            if metric != "accuracy" or not _is_repeated(table, protocol):
                yield number


def _is_repeated(table: Leaderboard, protocol: str) -> bool:
    """Whether the accuracy under a protocol is that under the ranking protocol."""
    own, first = (("accuracy", name) for name in (protocol, table.protocol))
    if own == first or first not in table.numbers:
        return False
    apart = table.rows[column_name(own)] - table.rows[column_name(first)]
    return bool(apart.abs().fillna(0).max() < 1e-9)


def _column(metric: str, protocol: str) -> Column:
    known = about(metric)
    name = f"{metric} {protocol}"
    return replace(Column.of(metric), name=name) if known else Column(name)


def _counted(table: Leaderboard) -> tuple[Column, ...]:
    plain = str(table.rows["macs_of"].iloc[0])
    return (
        Column("macs", about="multiply-adds per image"),
        Column(f"macs / {plain.partition(' ')[0] or 'plain'}",
               about=f"multiply-adds relative to the plain network, {plain or 'not in the table'}"),
        Column("seeds", about="finished runs"),
        Column("params", about="parameters"),
        Column("train ms", about="per image in training, the median epoch, as recorded"),
        Column("test ms", about="per view in testing, by the direct engine, as recorded"),
    )  # fmt: skip


def _labels(row: Mapping[Any, Any]) -> tuple[str, str]:
    rank = "" if row["unranked"] else range_text(row["rank_first"], row["rank_last"])
    return rank or NOTHING, str(row["configuration"])


def _ranked_cell(row: Mapping[Any, Any]) -> Cell:
    value, low, high = (float(row[name]) for name in ("value", "ci_low", "ci_high"))
    ends = None if math.isnan(low) or math.isnan(high) else (f"{low:.3f}", f"{high:.3f}")
    return Cell(f"{value:.3f}", interval=ends, mark=BEST if row["rank_first"] == 1 else "",
                value=value)  # fmt: skip


def _plain(row: Mapping[Any, Any], name: str) -> Cell:
    return _number(row.get(name, math.nan), "{:.3f}")


def _number(value: float, form: str) -> Cell:
    known = not math.isnan(value := float(value))
    return Cell(form.format(value), value=value) if known else Cell(NOTHING)


def _counts(row: Mapping[Any, Any]) -> Iterator[Cell]:
    """Yield the cells of :func:`_counted`."""
    macs, params = float(row["macs"]), float(row["params"])
    yield Cell(NOTHING) if math.isnan(macs) else Cell(short_count(macs), value=macs)
    yield _number(row["macs_ratio"], "{:.2f}")
    yield _number(row["seeds"], "{:.0f}")
    yield Cell(NOTHING) if math.isnan(params) else Cell(short_count(params), value=params)
    yield _number(row["train_ms"], "{:.3g}")
    yield _number(row["test_ms"], "{:.3g}")


def _notes(table: Leaderboard) -> Iterator[str]:
    """Yield what the ranks and the intervals cover, and what to be careful about."""
    rows, ranks = table.rows, table.ranking
    if ranks.kinds:
        yield f"{RANGES}, over {' or '.join(ranks.kinds)}"
    if IMAGES in ranks.kinds:
        yield ONE_SEED
    if ranks.unknown:
        yield f"{ranks.unknown} pairs have no known error, so they count as equal"
    if kinds := [kind for kind in dict.fromkeys(rows["kind"]) if kind]:
        yield f"[95 % interval over {' or '.join(kinds)}]"
    if any(rows["unranked"]):
        yield CHANCE_NOTE
    if rows[["train_ms", "test_ms"]].notna().any().any():
        of = f", on {' and '.join(table.machines)}" if len(table.machines) > 1 else ""
        yield f"ms as recorded by the runs{of}, not a benchmark"
