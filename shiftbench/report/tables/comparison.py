"""The terminal table that compares two configurations."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from rich.console import Console
from rich.table import Table

from shiftbench.inference.kinds import IMAGES
from shiftbench.metric import Difference, arrow_of
from shiftbench.metric.interval import EXACT
from shiftbench.report.load.repetitions import Pairing
from shiftbench.report.tables import interval_kinds
from shiftbench.report.tables.compared import Compared, Row
from shiftbench.report.tables.paired_interval import CROSSED, STUDENT
from shiftbench.report.tables.run_table import FIRST

CAPTION = "B − A with its [{intervals}], paired · fractions, ↑ higher is better"
TWO_SEEDS = (
    "two seeds leave wide intervals, of up to 12.7 standard errors; three have 4.3: train A and B "
    "with another seed"
)
BOLD = "bold, with the better one: the interval leaves 0 out"
NO_VERDICT = (
    "one pair of runs{why}: another training seed may change the difference by more than this "
    "interval, so neither is called better. Train both with seed=0,1,2 -m at the end of their "
    "commands, and compare again without --runs"
)
# Marks of intervals whose kind differs from the table's.
LETTERS = {STUDENT: "s", EXACT: "e"}
NAMES = {"s": "over seeds alone", "e": "no seed and no image differs: exact"}


def print_comparison(
    found: Compared, pairing: Pairing, a: Mapping[str, str], b: Mapping[str, str]
) -> None:
    """Print a table for every protocol.

    Args:
        found: The rows, and the reasons why protocols are missing.
        pairing: The runs that were compared.
        a: Settings of the first configuration, including ``run``, the name of its run.
        b: Likewise for the second configuration.
    """
    console = Console()
    for letter, run in (("A", a), ("B", b)):
        console.print(f"{letter}  {run['run']}", soft_wrap=True, highlight=False, markup=False)
    for line in (_contrast(a, b, pairing), *_seeds(pairing)):
        console.print(line, highlight=False, markup=False)
    several = len(pairing.pairs) > 1
    kinds = (
        () if several else interval_kinds.kinds_of(row.difference.interval for row in found.rows)
    )
    for protocol in dict.fromkeys(row.protocol for row in found.rows):
        rows = [row for row in found.rows if row.protocol == protocol]
        console.print(comparison_table(rows, protocol, kinds))
    left_out = [f"left out  {reason}" for reason in found.left_out]
    for line in filter(None, [*_legend(found.rows, pairing, kinds), found.note, *left_out]):
        console.print(line, highlight=False, markup=False)


def comparison_table(rows: Sequence[Row], protocol: str, kinds: tuple[str, ...]) -> Table:
    """Return the rows of one protocol as a table that fits 80 columns."""
    table = Table(title=protocol, title_justify="left")
    table.add_column("metric", no_wrap=True)
    table.add_column("", justify="center")
    for name in ("A", "B", "B − A"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("better", justify="center", no_wrap=True)
    by_name = {row.difference.metric: row for row in rows}
    names = [name for name in FIRST if name in by_name]
    letters = _letters(rows)
    for name in [*names, *(name for name in by_name if name not in names)]:
        row, one = by_name[name], by_name[name].difference
        letter = letters.get(one.interval, "") or interval_kinds.mark(one.interval, kinds)
        table.add_row(
            name, arrow_of(name), f"{one.value_a:.3f}",
            f"{one.value_b:.3f}", _difference(one, letter), row.verdict,
            style="bold" if row.verdict else None, end_section=bool(names) and name == names[-1],
        )  # fmt: skip
    return table


def _difference(one: Difference, letter: str) -> str:
    if math.isnan(one.ci_low):
        return f"{one.difference:+.3f} \\[no interval]   "
    return f"{one.difference:+.3f} \\[{one.ci_low:+.3f} {one.ci_high:+.3f}]{letter or ' '}"


def _letters(rows: Iterable[Row]) -> dict[str, str]:
    """Return the letters of the intervals whose kind differs from the caption's."""
    methods = {row.difference.interval for row in rows if row.seeds > 1}
    both = {CROSSED, STUDENT} <= methods
    return {key: LETTERS[key] for key in LETTERS if key in methods and (both or key != STUDENT)}


def _legend(rows: Sequence[Row], pairing: Pairing, kinds: tuple[str, ...]) -> Iterator[str]:
    """Yield what the intervals cover, and what bold type means."""
    if len(pairing.pairs) == 1:
        yield CAPTION.format(intervals=interval_kinds.legend(kinds))
        yield NO_VERDICT.format(why=f" ({pairing.why})" if pairing.why else "")
        return
    found = [kind for kind in dict.fromkeys(row.kind for row in rows) if kind]
    crossed = [kind for kind in found if IMAGES.partition(",")[0] in kind] or found
    letters = "".join(f"; {letter} {NAMES[letter]}" for letter in _letters(rows).values())
    yield CAPTION.format(intervals=f"95 % interval over {' or '.join(crossed)}{letters}")
    yield BOLD
    if len(pairing.pairs) == 2:
        yield TWO_SEEDS


def _seeds(pairing: Pairing) -> Iterator[str]:
    """Yield which seeds were paired, and which have no partner."""
    if pairing.why:
        yield f"seeds  not paired: {pairing.why}"
    else:
        yield f"seeds  paired: {_listed(pairing.seeds)}"
    for letter, seeds in zip("AB", pairing.alone, strict=True):
        if seeds:
            yield f"       without a partner: {_listed(seeds)} of {letter}"


def _listed(seeds: Iterable[int]) -> str:
    return ", ".join(map(str, seeds))


def _contrast(a: Mapping[str, str], b: Mapping[str, str], pairing: Pairing) -> str:
    """Return the settings in which A and B differ, or a sentence if there are none."""
    hidden = ("run",) if pairing.why else ("run", "seed")
    changed = [f"{key}: {a[key]} → {b[key]}" for key in a if key not in hidden and a[key] != b[key]]
    return " · ".join(changed) or "the labels of A and B are the same; see their config.yaml"
