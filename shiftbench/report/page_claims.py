"""Published findings on a page: published beside measured, the verdict, what decides it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from shiftbench.claims import Judged
from shiftbench.claims.claim import INCONCLUSIVE, NOT_REPRODUCED, REPRODUCED
from shiftbench.report.attempts import attempt
from shiftbench.report.claim_pictures import claim_picture
from shiftbench.report.claim_words import measured_text
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


def _shown(one: Judged, folder: Path) -> ClaimShown:
    claim = one.claim
    measured, interval = measured_text(one)
    return ClaimShown(
        claim.key, claim.statement, claim.source, claim.published, claim.measured, measured,
        interval, one.verdict, MARKS.get(one.verdict, ""), one.reason,
        len(one.finding.runs) if one.finding else 0, _picture(one, folder),
    )  # fmt: skip


def _picture(one: Judged, folder: Path) -> Shown | None:
    shown = None
    with attempt(str(folder / f"claim-{one.claim.key}.png")):
        picture = claim_picture(one)
        shown = frame(picture, folder) if picture else None
    return shown
