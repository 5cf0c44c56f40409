"""All claims in order, judged together: the rows of ``claims.csv``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from shiftbench.claims import (
    beyond_accuracy,
    blur,
    borders,
    object_size,
    one_pixel,
    photographer,
    polyphase,
    pooling,
    sampling,
)
from shiftbench.claims.able import able
from shiftbench.claims.claim import NOT_RUN, SMOKE, Claim, Finding
from shiftbench.claims.evidence import Evidence, Run
from shiftbench.errors import UsageError, did_you_mean, shown
from shiftbench.storage.result_files import CLAIM_COLUMNS, NETWORK_COLUMNS

_ORDER = (
    "A1", "A2", "A3", "A4", "A5", "A6", "A7", "A8", "A9", "A10", "A11", "Z1", "Z2", "Z3", "Z4",
    "C1", "C2", "C3", "S1", "S2", "S3", "K1", "T1", "X1",
)  # fmt: skip
_PARTS = (
    beyond_accuracy,
    blur,
    borders,
    object_size,
    one_pixel,
    photographer,
    polyphase,
    pooling,
    sampling,
)
_KNOWN = {claim.key: claim for part in _PARTS for claim in part.CLAIMS}

CLAIMS: dict[str, Claim] = {key: _KNOWN[key] for key in _ORDER}
"""Every claim by its key, in the order of the tables."""


@dataclass(frozen=True)
class Judged:
    """A claim and what was found, None where its runs are not there.

    ``near_chance``: how many runs were left out since their networks are near chance. ``smoke``:
    how many of the runs behind it, or of those left out, are smoke runs.
    """

    claim: Claim
    finding: Finding | None
    near_chance: int = 0
    smoke: int = 0

    @property
    def verdict(self) -> str:
        """The verdict, ``not run`` where there is no finding."""
        return self.finding.verdict if self.finding else NOT_RUN

    @property
    def reason(self) -> str:
        """Why; what to run where there is no finding; that runs are smoke runs comes first."""
        return f"smoke runs ({self.smoke}): {SMOKE}; {self._why}" if self.smoke else self._why

    @property
    def _why(self) -> str:
        if self.finding:
            return self.finding.reason
        if self.near_chance:
            return (
                f"no runs for it that are not near chance ({self.near_chance} are); train longer, "
                "or on more images"
            )
        commands = (f"shiftbench experiment={name}" for name in self.claim.experiments)
        return f"no runs for it here; run {' or '.join(commands)}"


def judge(evidence: Evidence, keys: Sequence[str] | None = None) -> list[Judged]:
    """Judge claims by the evidence, without networks near chance.

    Args:
        evidence: The runs.
        keys: Which claims; None for all.

    Raises:
        UsageError: If a key is none of a claim.
    """
    for key in keys or ():
        if key not in CLAIMS:
            raise UsageError(
                f"study.claims has {shown(key)}, which is no claim{did_you_mean(key, CLAIMS)}; "
                f"known: {', '.join(CLAIMS)}"
            )
    wanted = [claim for key, claim in CLAIMS.items() if keys is None or key in keys]
    chosen, weak = able(evidence)
    smoke = {run.run_id for run in evidence.runs if run.smoke}
    return [_judged(claim, evidence, chosen, weak, smoke) for claim in wanted]


def _judged(
    claim: Claim, evidence: Evidence, chosen: Evidence, weak: Sequence[Run], smoke: set[str]
) -> Judged:
    found = claim.check(chosen)
    if found:
        return Judged(claim, found, smoke=len(smoke.intersection(found.runs)))
    if weak and claim.check(evidence):  # networks near chance would have decided it
        return Judged(claim, None, len(weak), len(smoke.intersection(run.run_id for run in weak)))
    return Judged(claim, None)


def claim_rows(judged: Sequence[Judged]) -> pd.DataFrame:
    """Return ``claims.csv``: a row per claim; ``runs`` are names with ``;`` between them."""
    return pd.DataFrame([_row(one) for one in judged], columns=list(CLAIM_COLUMNS))


def network_rows(judged: Sequence[Judged]) -> pd.DataFrame:
    """Return ``networks.csv``: a row per network of claims on every one, simultaneous intervals."""
    rows = [
        (one.claim.key, network.name, network.value, network.low, network.high)
        for one in judged
        for network in (one.finding.networks if one.finding else ())
    ]
    return pd.DataFrame(rows, columns=list(NETWORK_COLUMNS))


def _row(one: Judged) -> dict[str, object]:
    claim, found = one.claim, one.finding
    return {
        "claim": claim.key, "source": claim.source, "statement": claim.statement,
        "published": claim.published, "measured": found.measured if found else math.nan,
        "measured_of": found.measured_of if found else "",
        "mean_verdict": found.mean_verdict if found else "",
        "ci_low": found.low if found else math.nan, "ci_high": found.high if found else math.nan,
        "verdict": one.verdict, "reason": f"{claim.measured}; {one.reason}",
        "runs": ";".join(found.runs) if found else "",
    }  # fmt: skip
