"""What the jobs of a command need, for the terminal; see :mod:`shiftbench.runs.plan`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from shiftbench.runs.plan import AT_MOST, BYTES_PER_VIEW, Plan, Work

MOST_REFUSED = 5  # sentences that are printed
_PREFIXES = ("", "k", "M", "G", "T", "P", "E")


def print_plan(plan: Plan) -> None:
    """Print the plan to stdout: jobs, then a table of the work, then what the numbers mean."""
    console = Console()
    for line in _jobs(plan):
        console.print(Text(line))
    if plan.work:
        console.print(_table(plan))
        for line in _notes(plan):
            console.print(Text(line))


def _jobs(plan: Plan) -> Iterator[str]:
    refused, left = len(plan.refused), plan.jobs - plan.done - len(plan.refused)
    parts = [f"{plan.done:,} done before", f"{refused:,} would fail" if refused else ""]
    yield f"{plan.jobs:,} job{'s' * (plan.jobs != 1)}: " + ", ".join(
        [*filter(None, parts), f"{left:,} to run"]
    )
    for sentence, times in Counter(plan.refused).most_common(MOST_REFUSED):
        yield f"  would fail{f' ({times:,} jobs)' * (times > 1)}: {sentence}"
    if plan.trainings or plan.trained:
        trained = f", {plan.trained:,} more finished before" if plan.trained else ""
        yield (
            f"{plan.trainings:,} training{'s' * (plan.trainings != 1)} for "
            f"{plan.training_jobs:,} job{'s' * (plan.training_jobs != 1)}{trained}"
        )


def _table(plan: Plan) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("work", overflow="fold")
    for head in ("number", "views", "passes"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("engine")
    for head in ("MACs", "time", "disk"):
        table.add_column(head, justify="right", no_wrap=True)
    rows = plan.rows()
    for index, row in enumerate(rows):
        table.add_row(*_cells(row), end_section=index == len(rows) - 1)
    whole = plan.total()
    table.add_row("all", "", "", amount(whole.passes), "", amount(whole.macs),
                  duration(whole.seconds), size(whole.disk))  # fmt: skip
    return table


def _cells(row: Work) -> tuple[str, ...]:
    most = "≤ " if row.engine == AT_MOST else ""
    return (
        row.what, f"{row.count:,}", amount(row.views), most + amount(row.passes), row.engine,
        most + amount(row.macs), most + duration(row.seconds), size(row.disk),
    )  # fmt: skip


def _notes(plan: Plan) -> Iterator[str]:
    yield (
        "views: images × shifts, for training augmented images × epochs; passes: forward passes "
        "with as many multiply-adds (MACs), a training step counted as three"
    )
    if any(part.engine == AT_MOST for part in plan.work):
        yield (
            "≤: by the direct engine at most; whether the dense one applies to these networks is "
            "known when they run"
        )
    others = plan.networks - plan.timed
    if plan.timed:
        rest = f", {others} more by their multiply-adds" if others else ""
        yield (
            f"time: an estimate from a few batches of {plan.timed} of {plan.networks} networks on "
            f"{plan.device}{rest}, one job after another; data, metrics, layer probe and figures "
            "come on top"
        )
    yield (
        f"disk: checkpoints, and {BYTES_PER_VIEW} bytes for each image and shift before compression"
    )
    if plan.memory:
        yield (
            f"peak memory: about {size(plan.memory + plan.tables)} ({size(plan.memory)} for the "
            f"timed batches with the data, {size(plan.tables)} for a job's prediction tables)"
        )


def amount(number: float) -> str:
    """Return a number exactly up to seven digits, then with a prefix.

    >>> amount(108_000), amount(345_600_000), amount(float("nan"))
    ('108,000', '346 M', '–')
    """
    if math.isnan(number):
        return "–"
    if number < 1e7:
        return f"{number:,.0f}"
    power = min(int(math.log10(number) // 3), len(_PREFIXES) - 1)
    return f"{number / 1000**power:.3g} {_PREFIXES[power]}"


def duration(seconds: float) -> str:
    """Return a time with its unit, in two digits or whole numbers.

    >>> duration(0.02), duration(95), duration(4000), duration(1e6), duration(float("nan"))
    ('0.02 s', '1.6 min', '1.1 h', '11.6 d', '–')
    """
    if math.isnan(seconds):
        return "–"
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= length * (2 if unit == "d" else 1):
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.2g} s"


def size(number: float) -> str:
    """Return a number of bytes in decimal units.

    >>> size(28 * 50_000 * 961), size(0)
    ('1.35 GB', '0 B')
    """
    power = min(int(math.log10(number) // 3), len(_PREFIXES) - 1) if number >= 1 else 0
    return f"{number / 1000**power:.3g} {_PREFIXES[power]}B"
