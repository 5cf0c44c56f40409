"""The table at the end of a run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from shiftbench.metric import METRICS

# Consistency alone says little (an untrained network scores 1): these four stand together.
FIRST = ("accuracy", "consistency", "correct_consistency", "chance_consistency")


def run_tables(metrics: pd.DataFrame, width: int) -> Iterator[Table]:
    """Yield tables of metrics × protocols, as many protocols in each as fit ``width`` columns."""
    first = metrics.iloc[0]
    title = (
        f"{first['data']} · {first['model']} · pool={first['pool']} · head={first['head']} · "
        f"padding={first['padding']} · augment={first['augment']} · seed={first['seed']}"
    )
    protocols = list(dict.fromkeys(metrics["protocol"]))
    beside = max(1, (width - 30) // 23)
    for start in range(0, len(protocols), beside):
        part = metrics[metrics["protocol"].isin(protocols[start : start + beside])]
        yield _table(part, title if start == 0 else "")


def _table(metrics: pd.DataFrame, title: str) -> Table:
    """Return metrics × protocols: value, and the interval over images."""
    table = Table(title=escape(title), caption=_caption(metrics), title_justify="left",
                  caption_justify="left")  # fmt: skip
    table.add_column("metric", no_wrap=True)
    table.add_column("", justify="center")
    protocols = list(dict.fromkeys(metrics["protocol"]))
    for protocol in protocols:
        table.add_column(protocol, justify="right", no_wrap=True)
    values = {(row.protocol, row.metric): row for row in metrics.itertuples()}
    for name in _ordered(metrics):
        cells = [_cell(values.get((protocol, name))) for protocol in protocols]
        arrow = METRICS[name].arrow if name in METRICS else ""
        table.add_row(name, arrow, *cells, style="bold" if name in FIRST else None,
                      end_section=name == FIRST[-1])  # fmt: skip
    return table


def _caption(metrics: pd.DataFrame) -> str:
    parts = [
        f"{row.protocol}: {row.n_images:,} images × {row.n_shifts:,} shifts ({row.engine})"
        for row in metrics[metrics["metric"] == "shift_accuracy"].itertuples()
    ]
    return "\n".join([*parts, "[95 % interval over images] · fractions, ↑ higher is better"])


def _ordered(metrics: pd.DataFrame) -> list[str]:
    present = list(dict.fromkeys(metrics["metric"]))
    return [name for name in FIRST if name in present] + [n for n in present if n not in FIRST]


def _cell(row: object) -> str:
    if row is None:
        return ""
    value, low, high = (float(getattr(row, name)) for name in ("value", "ci_low", "ci_high"))
    return f"{value:.3f} \\[{low:.3f} {high:.3f}]"


def in_one_line(metrics: pd.DataFrame) -> str:
    """Return a run's first numbers: ``accuracy 0.744 · consistency 0.783 circular, ...``."""
    values = {(row.metric, row.protocol): float(str(row.value)) for row in metrics.itertuples()}
    protocols = list(dict.fromkeys(metrics["protocol"]))
    parts = [
        f"{values['consistency', name]:.3f} {name}"
        for name in protocols
        if ("consistency", name) in values
    ]
    accuracy = next((values[key] for key in values if key[0] == "accuracy"), None)
    first = [f"accuracy {accuracy:.3f}"] if accuracy is not None else []
    return " · ".join([*first, f"consistency {', '.join(parts)}"])


def print_run(metrics: pd.DataFrame, folder: Path, checkpoint: Path | None = None) -> None:
    """Print a run's table and where its files are."""
    console = Console()
    for table in run_tables(metrics, console.width):
        console.print(table)
    console.print(f"results  {folder}/metrics.csv, shifts.csv, train.csv", soft_wrap=True,
                  highlight=False)  # fmt: skip
    console.print(f"figures  {folder}/figures/", soft_wrap=True, highlight=False)
    if checkpoint is not None:
        console.print(f"weights  {checkpoint}", soft_wrap=True, highlight=False)
