"""Published findings, each checked against result files; the rules are in ``docs/claims.md``.

A claim (:mod:`~shiftbench.claims.claim`) selects runs from the evidence
(:mod:`~shiftbench.claims.evidence`), holds all other settings equal
(:mod:`~shiftbench.claims.blocks`), computes the one number that decides it
(:mod:`~shiftbench.claims.estimates`) and derives a verdict (:mod:`~shiftbench.claims.verdicts`).
The package imports neither torch nor the report, which passes in the contents of the result files.
"""

from shiftbench.claims.claim import Claim, Finding, Network, Plot, Series
from shiftbench.claims.evidence import Evidence, Number, Run
from shiftbench.claims.judging import CLAIMS, Judged, claim_rows, find_claim, judge, network_rows

__all__ = [
    "CLAIMS",
    "Claim",
    "Evidence",
    "Finding",
    "Judged",
    "Network",
    "Number",
    "Plot",
    "Run",
    "Series",
    "claim_rows",
    "find_claim",
    "judge",
    "network_rows",
]
