"""Published findings on a page: published and measured values, verdict, deciding figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from shiftbench.claims import CLAIMS, Judged
from shiftbench.claims.claim import INCONCLUSIVE, NOT_REPRODUCED, REPRODUCED
from shiftbench.report.attempts import attempt
from shiftbench.report.figures.claim_figures import claim_figure
from shiftbench.report.figures.forest_plot import network_figure
from shiftbench.report.figures.page_figures import WrittenFigure, write_figure
from shiftbench.report.tables.claim_text import Wording, wording

MARKS = {REPRODUCED: "done", NOT_REPRODUCED: "bad", INCONCLUSIVE: "open"}


@dataclass(frozen=True)
class ClaimShown:
    """A published finding as a page shows it.

    Attributes:
        judged: The claim and its finding.
        words: The finding as text.
        mark: CSS class of its verdict.
        figures: The figures behind the verdict.
    """

    judged: Judged
    words: Wording
    mark: str
    figures: list[WrittenFigure]


def shown_claims(judged: Sequence[Judged], folder: Path) -> list[ClaimShown]:
    """Draw the figures of each claim, write them to ``folder`` and return all claims for the page.

    Figures of claims from an earlier report in the folder are removed.
    """
    for key in CLAIMS:
        for ending in ("", "-networks"):
            for theme in ("", "-dark"):  # dark files were written by earlier releases
                (folder / f"claim-{key}{ending}{theme}.png").unlink(missing_ok=True)
    return [
        ClaimShown(one, wording(one), MARKS.get(one.verdict, ""), list(_figures(one, folder)))
        for one in judged
    ]


def _figures(one: Judged, folder: Path) -> Iterator[WrittenFigure]:
    """Yield the forest plot of all networks, then the figure of the measurements."""
    for make, ending in ((network_figure, "-networks"), (claim_figure, "")):
        with attempt(str(folder / f"claim-{one.claim.key}{ending}.png")):
            figure = make(one)
            if shown := figure and write_figure(figure, folder):
                yield shown
