"""Azulay & Weiss 2019: one pixel of size, with real pixels (R1, R2)."""

from __future__ import annotations

import math

from shiftbench.claims.claim import Claim, Finding, listed
from shiftbench.claims.estimates import Reader, estimate, together
from shiftbench.claims.evidence import Evidence
from shiftbench.claims.one_pixel import CHANGE, OFTEN, PAPER, log_changes, networks
from shiftbench.claims.plots import bars, reading, values
from shiftbench.claims.verdicts import decide_equal, decide_every

ZOOM, CROP = "zoom", "crop"
FACTOR = 2.0  # within which two rates of changes count as equal
RUNS = ("rescaling",)


def _log_ratio(read: Reader) -> float:
    return log_changes(read, "", ZOOM) - log_changes(read, "", CROP)


def _size_as_place(evidence: Evidence) -> Finding | None:
    found = networks(evidence, [ZOOM, CROP])
    if not found:
        return None
    mean = together(found, _log_ratio)
    changes = {name: together(found, reading("", name, CHANGE)) for name in (ZOOM, CROP)}
    of = f"mean over {len(found)} networks" if len(found) > 1 else found[0].name or "one network"
    return decide_equal(mean, math.log(FACTOR), listed(values(changes)),
                        bars({"measured": changes}, "protocol", CHANGE), of, math.exp)  # fmt: skip


def _size_changes_often(evidence: Evidence) -> Finding | None:
    found = networks(evidence, [ZOOM])
    if not found:
        return None
    every = [estimate(block, reading("", ZOOM, CHANGE)) for block in found]
    rows = {"measured": {block.name or "all": one for block, one in zip(found, every, strict=True)}}
    return decide_every(every, OFTEN, "", bars(rows, "network", f"{CHANGE}, {ZOOM}"))


CLAIMS = (
    Claim(
        "R1", "size_changes_as_much_as_place",
        f"{PAPER}, abstract",
        "One pixel of size changes as many answers as one pixel of place",
        "not compared as a ratio",
        f"top1_change of zoom / of crops, mean over networks, from 1/{FACTOR:g} to {FACTOR:g}",
        RUNS, _size_as_place,
    ),
    Claim(
        "R2", "size_changes_top1_with_real_pixels",
        f"{PAPER}, figure 1",
        "One pixel of size often changes the top-1 class where all pixels are real",
        "not measured with real pixels",
        f"top1_change of zoom, above {OFTEN}", RUNS, _size_changes_often,
    ),
)  # fmt: skip
