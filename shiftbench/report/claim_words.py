"""Verdicts in words and numbers, for the terminal and the page."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from shiftbench.claims import Judged
from shiftbench.claims.claim import VERDICTS


def verdict_counts(judged: Sequence[Judged]) -> str:
    """Return ``8 reproduced, 3 not reproduced, 1 inconclusive``."""
    found = Counter(one.verdict for one in judged)
    return ", ".join(f"{found[verdict]} {verdict}" for verdict in VERDICTS if found[verdict])


def measured_text(one: Judged) -> tuple[str, str]:
    """Return the deciding number and its interval, '' where there is none."""
    if one.finding is None or math.isnan(one.finding.measured):
        return "", ""
    value, low, high = one.finding.measured, one.finding.low, one.finding.high
    interval = "" if math.isnan(low) or math.isnan(high) else f"[{_number(low)} {_number(high)}]"
    return _number(value), interval


def _number(value: float) -> str:
    """Return a number with three decimals, at most four significant digits.

    >>> _number(0.12345), _number(-2.34567), _number(0.99996)
    ('0.123', '−2.346', '1.000')
    """
    return f"{value:.3f}".replace("-", "−")
