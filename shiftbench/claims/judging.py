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
    remedies,
    rescaling,
    rotation,
    sampling,
)
from shiftbench.claims.claim import NOT_RUN, SMOKE, Claim, Finding
from shiftbench.claims.evidence import Evidence, Run
from shiftbench.claims.near_chance import without_near_chance
from shiftbench.errors import UsageError, did_you_mean, printable
from shiftbench.storage.result_files import CLAIM_COLUMNS, NETWORK_COLUMNS

_ORDER = (
    "A1", "A2", "A3", "A4", "A5", "A6", "A7", "A8", "A9", "A10", "A11", "Z1", "Z2", "Z3", "Z4",
    "C1", "C2", "C3", "C4", "C5", "C6", "S1", "S2", "S3", "K1", "T1", "X1", "W1", "F1", "P1", "E1",
    "H1", "H2", "H3", "R1", "R2", "F2",
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
    remedies,
    rescaling,
    rotation,
    sampling,
)
_KNOWN = {claim.key: claim for part in _PARTS for claim in part.CLAIMS}

CLAIMS: dict[str, Claim] = {key: _KNOWN[key] for key in _ORDER}
"""Every claim by its key, in the order of the tables."""
_BY_NAME = {name: claim for claim in CLAIMS.values() for name in (claim.key, claim.slug)}


@dataclass(frozen=True)
class Judged:
    """A claim and its finding, None without runs for it.

    ``near_chance``: number of runs that were excluded because their networks are near chance.
    ``smoke``: number of smoke runs among those used, or among those excluded.
    """

    claim: Claim
    finding: Finding | None
    near_chance: int = 0
    smoke: int = 0

    @property
    def verdict(self) -> str:
        """The verdict, ``not run`` without a finding."""
        return self.finding.verdict if self.finding else NOT_RUN

    @property
    def reason(self) -> str:
        """The reason, or what to run without a finding; smoke runs are stated first."""
        return f"smoke runs ({self.smoke}): {SMOKE}; {self._why}" if self.smoke else self._why

    @property
    def _why(self) -> str:
        if self.finding:
            return self.finding.reason
        if self.near_chance:
            near = f"near chance ({self.near_chance} excluded)"
            return f"all runs for it are {near}; train longer, or on more images"
        commands = (f"shiftbench experiment={name}" for name in self.claim.experiments)
        return f"no runs for it here; run {' or '.join(commands)}"


def find_claim(name: str) -> Claim | None:
    """Return the claim with this key or slug, None if there is none.

    >>> [claim.key for name in ("A1", "one_pixel_changes_top1") if (claim := find_claim(name))]
    ['A1', 'A1']
    """
    return _BY_NAME.get(name)


def judge(evidence: Evidence, names: Sequence[str] | None = None) -> list[Judged]:
    """Judge claims by the evidence, without networks near chance.

    Args:
        evidence: The runs.
        names: Keys or slugs of the claims; None for all.

    Raises:
        UsageError: If a name is not that of a claim.
    """
    for name in names or ():
        if find_claim(name) is None:
            raise UsageError(
                f"study.claims has {printable(name)}, which is not a "
                f"claim{did_you_mean(name, _BY_NAME)}; "
                f"known: {', '.join(CLAIMS)}, or their names in docs/claims.md"
            )
    chosen_keys = None if names is None else {_BY_NAME[name].key for name in names}
    wanted = [one for key, one in CLAIMS.items() if chosen_keys is None or key in chosen_keys]
    chosen, weak = without_near_chance(evidence)
    smoke = {run.run_id for run in evidence.runs if run.smoke}
    return [_judged(claim, evidence, chosen, weak, smoke) for claim in wanted]


def _judged(
    claim: Claim, evidence: Evidence, chosen: Evidence, weak: Sequence[Run], smoke: set[str]
) -> Judged:
    if not claim.variants:
        evidence, chosen = evidence.without_variants(), chosen.without_variants()
    found = claim.check(chosen)
    if found:
        return Judged(claim, found, smoke=len(smoke.intersection(found.runs)))
    if weak and claim.check(evidence):  # networks near chance would have decided it
        return Judged(claim, None, len(weak), len(smoke.intersection(run.run_id for run in weak)))
    return Judged(claim, None)


def claim_rows(judged: Sequence[Judged]) -> pd.DataFrame:
    """Return ``claims.csv``: a row per claim; ``runs`` are names separated by ``;``."""
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
        "claim": claim.key, "slug": claim.slug, "source": claim.source,
        "statement": claim.statement, "published": claim.published,
        "measured": found.measured if found else math.nan,
        "measured_of": found.measured_of if found else "",
        "mean_verdict": found.mean_verdict if found else "",
        "ci_low": found.low if found else math.nan, "ci_high": found.high if found else math.nan,
        "verdict": one.verdict, "reason": f"{claim.measured}; {one.reason}",
        "runs": ";".join(found.runs) if found else "",
    }  # fmt: skip
