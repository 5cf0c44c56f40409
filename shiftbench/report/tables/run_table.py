"""The terminal table of a single run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from shiftbench.metric import arrow_of
from shiftbench.report.tables.interval_kinds import kinds_of, legend, mark
from shiftbench.storage.result_files import STEP, Row

# Consistency alone is not informative (an untrained network scores 1): show these four together.
FIRST = ("accuracy", "consistency", "correct_consistency", "chance_consistency")


def run_tables(rows: Sequence[Row], width: int) -> Iterator[Table]:
    """Yield tables of metrics × protocols, as many protocols in each as fit ``width`` columns."""
    first = rows[0]
    title = (
        f"{first['data']} · {first['model']} · pool={first['pool']} · head={first['head']} · "
        f"padding={first['padding']} · augment={first['augment']} · seed={first['seed']}"
    )
    protocols = _distinct(rows, "protocol")
    beside = max(1, (width - 30) // 23)
    for start in range(0, len(protocols), beside):
        part = [row for row in rows if row["protocol"] in protocols[start : start + beside]]
        yield _table(part, title if start == 0 else "")


def _table(rows: Sequence[Row], title: str) -> Table:
    """Return metrics × protocols: values and intervals over images."""
    table = Table(title=escape(title), caption=_caption(rows), title_justify="left",
                  caption_justify="left")  # fmt: skip
    table.add_column("metric", no_wrap=True)
    table.add_column("", justify="center")
    protocols = _distinct(rows, "protocol")
    for protocol in protocols:
        table.add_column(protocol, justify="right", no_wrap=True)
    values = {(row["protocol"], row["metric"]): row for row in rows}
    kinds = kinds_of(row["interval"] for row in rows)
    for name in _ordered(rows):
        cells = [_cell(values.get((protocol, name)), kinds) for protocol in protocols]
        table.add_row(name, arrow_of(name), *cells, style="bold" if name in FIRST else None,
                      end_section=name == FIRST[-1])  # fmt: skip
    return table


def _caption(rows: Sequence[Row]) -> str:
    parts = [
        f"{row['protocol']}: {int(row['n_images']):,} images × {int(row['n_shifts']):,} shifts "
        f"({row['engine']}{_step(row)})"
        for row in rows
        if row["metric"] == "shift_accuracy"
    ]
    intervals = legend(kinds_of(row["interval"] for row in rows))
    return "\n".join([*parts, f"[{intervals}] · fractions, ↑ higher is better"])


def _step(row: Row) -> str:
    step = row.get(STEP) or "1 px"
    return "" if step == "1 px" else f", steps of {step}"


def _distinct(rows: Sequence[Row], column: str) -> list[str]:
    return list(dict.fromkeys(row[column] for row in rows))


def _ordered(rows: Sequence[Row]) -> list[str]:
    present = _distinct(rows, "metric")
    return [name for name in FIRST if name in present] + [n for n in present if n not in FIRST]


def _cell(row: Row | None, kinds: tuple[str, ...]) -> str:
    if row is None:
        return ""
    value, low, high = (_number(row[name]) for name in ("value", "ci_low", "ci_high"))
    # Pad unmarked intervals with a space to align the numbers.
    space = " " if len(kinds) > 1 else ""
    return f"{value:.3f} \\[{low:.3f} {high:.3f}]{mark(row['interval'], kinds) or space}"


def _number(text: str) -> float:
    return float(text or "nan")  # an empty field is NaN


def in_one_line(rows: Sequence[Row]) -> str:
    """Return a run's first numbers: ``accuracy 0.744 · consistency 0.783 circular, ...``.

    For a run without consistency, the first metric it has.
    """
    values = {(row["metric"], row["protocol"]): _number(row["value"]) for row in rows}
    metrics = [name for name in _distinct(rows, "metric") if name != "accuracy"]
    metric = "consistency" if "consistency" in metrics else "".join(metrics[:1])
    parts = [
        f"{values[metric, name]:.3f} {name}"
        for name in _distinct(rows, "protocol")
        if (metric, name) in values
    ]
    accuracy = next((values[key] for key in values if key[0] == "accuracy"), None)
    first = [f"accuracy {accuracy:.3f}"] if accuracy is not None else []
    return " · ".join([*first, *([f"{metric} {', '.join(parts)}"] if parts else [])])


def print_run(
    rows: Sequence[Row], folder: Path, checkpoint: Path | None = None, *, figures: bool = True
) -> None:
    """Print a run's table and the paths of its files; figures if requested and present."""
    console = Console()
    for table in run_tables(rows, console.width):
        console.print(table)
    console.print(f"results  {folder}/metrics.csv, shifts.csv, train.csv", soft_wrap=True,
                  highlight=False)  # fmt: skip
    if figures and any((folder / "figures").glob("*.png")):
        console.print(f"figures  {folder}/figures/", soft_wrap=True, highlight=False)
    if checkpoint is not None:
        console.print(f"weights  {checkpoint}", soft_wrap=True, highlight=False)
