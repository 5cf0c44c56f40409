"""Published findings on a page: published beside measured, the verdict, what decides it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from shiftbench.claims import CLAIMS, Judged
from shiftbench.claims.claim import INCONCLUSIVE, NOT_REPRODUCED, REPRODUCED
from shiftbench.report.attempts import attempt
from shiftbench.report.claim_figures import claim_figure
from shiftbench.report.claim_words import least_certain, measured_of, measured_text
from shiftbench.report.gallery import Shown, frame
from shiftbench.report.network_figure import network_figure

MARKS = {REPRODUCED: "done", NOT_REPRODUCED: "bad", INCONCLUSIVE: "open"}


@dataclass(frozen=True)
class ClaimShown:
    """A published finding as a page shows it; ``mark`` is the class of its verdict.

    ``of`` says what the number is of; ``mean_verdict`` is the verdict on the mean over networks
    and ``least`` the least certain of them, both '' where there are not several.
    """

    key: str
    statement: str
    source: str
    published: str
    decided_by: str
    measured: str
    interval: str
    of: str
    mean_verdict: str
    least: str
    verdict: str
    mark: str
    reason: str
    runs: int
    near_chance: str
    figures: list[Shown]


def shown_claims(judged: Sequence[Judged], folder: Path) -> list[ClaimShown]:
    """Draw what decides each claim, write it to ``folder`` and return all as a page shows them.

    Figures of claims of an earlier report in the folder are removed.
    """
    for key in CLAIMS:
        for ending in ("", "-networks"):
            for theme in ("", "-dark"):  # of earlier releases
                (folder / f"claim-{key}{ending}{theme}.png").unlink(missing_ok=True)
    return [_shown(one, folder) for one in judged]


def _shown(one: Judged, folder: Path) -> ClaimShown:
    claim, found = one.claim, one.finding
    measured, interval = measured_text(one)
    return ClaimShown(
        claim.key, claim.statement, claim.source, claim.published, claim.measured, measured,
        interval, measured_of(one), found.mean_verdict if found else "", least_certain(one),
        one.verdict, MARKS.get(one.verdict, ""), one.reason, len(found.runs) if found else 0,
        "near chance" if one.near_chance else "", list(_figures(one, folder)),
    )  # fmt: skip


def _figures(one: Judged, folder: Path) -> Iterator[Shown]:
    """Yield every network beside the mean, then what the numbers are made of."""
    for make, ending in ((network_figure, "-networks"), (claim_figure, "")):
        with attempt(str(folder / f"claim-{one.claim.key}{ending}.png")):
            figure = make(one)
            if shown := figure and frame(figure, folder):
                yield shown
