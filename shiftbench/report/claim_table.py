"""Published findings on the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from shiftbench.claims import Judged
from shiftbench.claims.claim import INCONCLUSIVE, NOT_REPRODUCED, REPRODUCED
from shiftbench.report.claim_words import measured_text, verdict_counts

STYLES = {REPRODUCED: "green", NOT_REPRODUCED: "red", INCONCLUSIVE: "yellow"}
LONGEST_PUBLISHED = 40  # characters; claims.csv has all


def print_claims(console: Console, judged: Sequence[Judged]) -> None:
    """Print a row per claim, and how many of each verdict."""
    if not judged:
        return
    table = Table(title="Published findings", title_justify="left", box=SIMPLE_HEAD,
                  padding=(0, 1, 0, 0), pad_edge=False)  # fmt: skip
    table.add_column("", no_wrap=True)
    table.add_column("claim", ratio=3, overflow="fold")
    table.add_column("measured", no_wrap=True)
    table.add_column("published", ratio=2, overflow="fold")
    table.add_column("verdict")
    for one in judged:
        measured, interval = measured_text(one)
        number = "\n".join(filter(None, (measured, interval)))
        table.add_row(
            one.claim.key, Text(one.claim.statement), Text(number),
            Text(_short(one.claim.published)),
            Text(one.verdict, style=STYLES.get(one.verdict, "dim")),
        )  # fmt: skip
    console.print(table)
    console.print(Text(f"{verdict_counts(judged)} · [95 % interval] · why in claims.csv\n"))


def _short(published: str) -> str:
    """Return the first of several published numbers where all would take many lines."""
    if len(published) <= LONGEST_PUBLISHED:
        return published
    first, several, _ = published.partition("; ")
    return f"{first}; …" if several else first
