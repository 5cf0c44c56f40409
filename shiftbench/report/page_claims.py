"""Published findings on a page: published beside measured, the verdict, what decides it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from shiftbench.claims import Judged
from shiftbench.claims.claim import INCONCLUSIVE, NOT_REPRODUCED, REPRODUCED, VERDICTS
from shiftbench.report.claim_pictures import claim_picture
from shiftbench.report.gallery import Shown, frame

MARKS = {REPRODUCED: "done", NOT_REPRODUCED: "bad", INCONCLUSIVE: "open"}


@dataclass(frozen=True)
class ClaimShown:
    """A published finding as a page shows it; ``mark`` is the class of its verdict."""

    key: str
    statement: str
    source: str
    published: str
    decided_by: str
    measured: str
    interval: str
    verdict: str
    mark: str
    reason: str
    runs: int
    picture: Shown | None


def shown_claims(judged: Sequence[Judged], folder: Path) -> list[ClaimShown]:
    """Draw what decides each claim, write it to ``folder`` and return all as a page shows them.

    Pictures of claims of an earlier report in the folder are removed.
    """
    for old in folder.glob("claim-*.png"):
        old.unlink()
    return [_shown(one, folder) for one in judged]


def verdict_counts(judged: Sequence[Judged]) -> str:
    """Return ``8 reproduced, 3 not reproduced, 1 inconclusive``."""
    found = Counter(one.verdict for one in judged)
    return ", ".join(f"{found[verdict]} {verdict}" for verdict in VERDICTS if found[verdict])


def measured_text(one: Judged) -> tuple[str, str]:
    """Return the deciding number and its interval, '' where there is none."""
    if one.finding is None:
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


def _shown(one: Judged, folder: Path) -> ClaimShown:
    claim = one.claim
    picture = claim_picture(one)
    measured, interval = measured_text(one)
    return ClaimShown(
        claim.key, claim.statement, claim.source, claim.published, claim.measured, measured,
        interval, one.verdict, MARKS.get(one.verdict, ""), one.reason,
        len(one.finding.runs) if one.finding else 0, frame(picture, folder) if picture else None,
    )  # fmt: skip
