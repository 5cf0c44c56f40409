"""Published findings, each checked against result files; ``docs/claims.md`` has the rules.

A claim (:mod:`~shiftbench.claims.claim`) selects runs from the evidence
(:mod:`~shiftbench.claims.evidence`), holds all other settings equal
(:mod:`~shiftbench.claims.blocks`), computes the one number that decides it
(:mod:`~shiftbench.claims.estimates`) and says what follows (:mod:`~shiftbench.claims.verdicts`).
No torch, nothing of the report: it hands in what is on disk.
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
