"""Verdicts in words and numbers, for the terminal and the page."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from shiftbench.claims import Judged
from shiftbench.claims.claim import SMOKE, VERDICTS
from shiftbench.report.records import DONE, Collection


def verdict_counts(judged: Sequence[Judged]) -> str:
    """Return ``8 reproduced, 3 not reproduced, 1 inconclusive``."""
    found = Counter(one.verdict for one in judged)
    return ", ".join(f"{found[verdict]} {verdict}" for verdict in VERDICTS if found[verdict])


def smoke_banner(collection: Collection) -> str:
    """Return what has to be said before anything is read from smoke runs, '' without any.

    Which runs are, their experiments say (``smoke: true`` of a scale), not their sizes.
    """
    done = [run for run in collection.runs if run.state == DONE]
    smoke = sum(run.smoke for run in done)
    if not smoke:
        return ""
    some = "Smoke runs" if smoke == len(done) else f"{smoke:,} of {len(done):,} are smoke runs"
    return f"{some}: {SMOKE}"


def measured_text(one: Judged) -> tuple[str, str]:
    """Return the deciding number and its interval, '' where there is none."""
    if one.finding is None or math.isnan(one.finding.measured):
        return "", ""
    return number_text(one.finding.measured), _interval(one.finding.low, one.finding.high)


def measured_of(one: Judged) -> str:
    """Return what the deciding number is of, ``mean over 4 networks``, '' where there is none."""
    return one.finding.measured_of if one.finding and measured_text(one)[0] else ""


def least_certain(one: Judged) -> str:
    """Return the least certain network with its number, '' where networks are not several.

    Its interval is one of those that hold for all networks at once.
    """
    least = one.finding.least_certain if one.finding else None
    if least is None:
        return ""
    numbers = " ".join(filter(None, (number_text(least.value), _interval(least.low, least.high))))
    return f"{least.name or 'a network'} {numbers}"


def _interval(low: float, high: float) -> str:
    if math.isnan(low) or math.isnan(high):
        return ""
    return f"[{number_text(low)} {number_text(high)}]"


def number_text(value: float) -> str:
    """Return a number with three decimals, at most four significant digits.

    >>> number_text(0.12345), number_text(-2.34567), number_text(0.99996)
    ('0.123', '−2.346', '1.000')
    """
    return f"{value:.3f}".replace("-", "−")
