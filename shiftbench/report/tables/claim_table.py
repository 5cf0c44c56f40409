"""The terminal table of published findings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from shiftbench.claims import Judged
from shiftbench.claims.claim import INCONCLUSIVE, NOT_REPRODUCED, REPRODUCED
from shiftbench.report.tables.claim_text import verdict_counts, wording

STYLES = {REPRODUCED: "green", NOT_REPRODUCED: "red", INCONCLUSIVE: "yellow"}
LONGEST_PUBLISHED = 40  # characters; claims.csv has the full text
MEASURED, PUBLISHED = 21, 19  # columns: "mean over 40 networks" takes one line


def print_banner(console: Console, banner: str) -> None:
    """Print a warning that precedes all numbers, if there is one."""
    if banner:
        console.print(Text(f"{banner}.\n", style="bold yellow"))


def print_claims(console: Console, judged: Sequence[Judged], banner: str = "") -> None:
    """Print a row per claim and the number of claims per verdict; ``banner`` goes above."""
    if not judged:
        return
    print_banner(console, banner)
    table = Table(title="Published findings", title_justify="left", box=SIMPLE_HEAD,
                  padding=(0, 1, 0, 0), pad_edge=False)  # fmt: skip
    table.add_column("", no_wrap=True)
    table.add_column("claim", overflow="fold")
    table.add_column("measured", width=MEASURED, overflow="fold")
    table.add_column("published", max_width=PUBLISHED, overflow="fold")
    table.add_column("verdict", min_width=len(NOT_REPRODUCED))
    for one in judged:
        table.add_row(
            one.claim.key, _lines(_claim(one)), _lines(_measured(one)),
            Text(_short(one.claim.published)), _lines(_verdict(one)),
        )  # fmt: skip
    console.print(table)
    console.print(Text(f"{verdict_counts(judged)} · [95 % interval] · why in claims.csv\n"))


def _claim(one: Judged) -> Iterator[tuple[str, str]]:
    yield one.claim.statement, ""
    if least := wording(one).least:
        yield f"least certain: {least}", "dim"


def _measured(one: Judged) -> Iterator[tuple[str, str]]:
    words = wording(one)
    yield words.measured, ""
    yield words.interval, ""
    yield "near chance" if one.near_chance else words.of, "dim"


def _verdict(one: Judged) -> Iterator[tuple[str, str]]:
    yield one.verdict, STYLES.get(one.verdict, "dim")
    if one.finding and one.finding.mean_verdict not in ("", one.verdict):
        yield f"of the mean: {one.finding.mean_verdict}", "dim"


def _lines(parts: Iterator[tuple[str, str]]) -> Text:
    """Return the non-empty texts with their styles, one per line."""
    return Text("\n").join(Text(text, style=style) for text, style in parts if text)


def _short(published: str) -> str:
    """Return the first of several published numbers if all of them would take many lines."""
    if len(published) <= LONGEST_PUBLISHED:
        return published
    first, several, _ = published.partition("; ")
    return f"{first}; …" if several else first
