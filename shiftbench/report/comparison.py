"""Two runs side by side on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from shiftbench.metric import METRICS
from shiftbench.report.interval_kinds import kinds_of, legend, mark
from shiftbench.report.terminal import FIRST

CAPTION = (
    "B − A with its [{intervals}], paired · fractions, ↑ higher is better\n"
    "bold, with the better run: the interval leaves 0 out"
)


def print_comparison(
    rows: pd.DataFrame, a: Mapping[str, str], b: Mapping[str, str], left_out: Sequence[str]
) -> None:
    """Print a table for every protocol.

    Args:
        rows: protocol, metric, value_a, value_b, difference, ci_low, ci_high, interval, better.
        a: Settings of the first run, ``run`` (its name) among them.
        b: The same of the second run.
        left_out: Why protocols are missing, a sentence each.
    """
    console = Console()
    for letter, run in (("A", a), ("B", b)):
        console.print(f"{letter}  {run['run']}", soft_wrap=True, highlight=False, markup=False)
    console.print(_contrast(a, b), highlight=False, markup=False)
    for protocol, part in rows.groupby("protocol", sort=False):
        console.print(comparison_table(part, str(protocol), kinds_of(rows["interval"])))
    intervals = legend(kinds_of(rows["interval"]))
    console.print(CAPTION.format(intervals=intervals), highlight=False, markup=False)
    for reason in left_out:
        console.print(f"left out  {reason}", highlight=False, markup=False)


def comparison_table(rows: pd.DataFrame, protocol: str, kinds: tuple[str, ...]) -> Table:
    """Return the rows of one protocol as a table that fits 80 columns."""
    table = Table(title=protocol, title_justify="left")
    table.add_column("metric", no_wrap=True)
    table.add_column("", justify="center")
    for name in ("A", "B", "B − A"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("better", justify="center", no_wrap=True)
    by_name: dict[str, dict[str, Any]] = {row["metric"]: row for row in _records(rows)}
    names = [name for name in FIRST if name in by_name]
    for name in [*names, *(name for name in by_name if name not in names)]:
        row = by_name[name]
        apart = row["ci_low"] > 0 or row["ci_high"] < 0
        verdict = row["better"] or ("differs" if apart else "")
        table.add_row(
            name, METRICS[name].arrow, f"{row['value_a']:.3f}", f"{row['value_b']:.3f}",
            f"{row['difference']:+.3f} \\[{row['ci_low']:+.3f} {row['ci_high']:+.3f}]"
            f"{mark(row['interval'], kinds) or ' '}", verdict,
            style="bold" if apart else None, end_section=bool(names) and name == names[-1],
        )  # fmt: skip
    return table


def _records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in rows.to_dict("records")]


def _contrast(a: Mapping[str, str], b: Mapping[str, str]) -> str:
    """Return the settings in which the runs differ, and say so where there is none."""
    changed = [f"{key}: {a[key]} → {b[key]}" for key in a if key != "run" and a[key] != b[key]]
    return " · ".join(changed) or "the labels of A and B are the same; see their config.yaml"
