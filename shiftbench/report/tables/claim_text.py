"""Verdicts as text, for the terminal and the page."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from shiftbench.claims import Judged
from shiftbench.claims.claim import SMOKE, VERDICTS
from shiftbench.report.load.records import DONE, Collection


def verdict_counts(judged: Sequence[Judged]) -> str:
    """Return ``8 reproduced, 3 not reproduced, 1 inconclusive``."""
    found = Counter(one.verdict for one in judged)
    return ", ".join(f"{found[verdict]} {verdict}" for verdict in VERDICTS if found[verdict])


def smoke_banner(collection: Collection) -> str:
    """Return a warning for reports that contain smoke runs, '' if there are none.

    A run is a smoke run if its experiment states so (``smoke: true`` of a scale).
    """
    done = [run for run in collection.runs if run.state == DONE]
    smoke = sum(run.smoke for run in done)
    if not smoke:
        return ""
    some = "Smoke runs" if smoke == len(done) else f"{smoke:,} of {len(done):,} are smoke runs"
    return f"{some}: {SMOKE}"


@dataclass(frozen=True)
class Wording:
    """The finding on a claim as tables and pages show it; fields are '' if they do not apply.

    Attributes:
        measured: The number that decides.
        interval: Its interval.
        of: What the number is computed over, e.g. ``mean over 4 networks``.
        mean_verdict: The verdict on the mean over networks, if there are several.
        least: The least certain network with its number; its interval is one of the simultaneous
            intervals of all networks.
            for all networks at once.
    """

    measured: str = ""
    interval: str = ""
    of: str = ""
    mean_verdict: str = ""
    least: str = ""


def wording(one: Judged) -> Wording:
    """Return the finding on a claim as text."""
    found = one.finding
    if found is None:
        return Wording()
    least = ""
    if network := found.least_certain:
        ends = _interval(network.low, network.high)
        least = " ".join(
            filter(None, (network.name or "a network", number_text(network.value), ends))
        )
    if math.isnan(found.measured):
        return Wording(mean_verdict=found.mean_verdict, least=least)
    interval = _interval(found.low, found.high)
    return Wording(
        number_text(found.measured), interval, found.measured_of, found.mean_verdict, least
    )


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
