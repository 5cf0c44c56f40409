"""Kayhan & van Gemert 2020: zero padding reveals position (K1)."""

from __future__ import annotations

from itertools import product

from shiftbench.claims.blocks import blocks
from shiftbench.claims.claim import Claim, Finding, listed
from shiftbench.claims.estimates import Reader, estimate
from shiftbench.claims.evidence import Evidence, Run
from shiftbench.claims.plots import arm_means, bars, values
from shiftbench.claims.verdicts import decide_every, sentences

CROP, CONSISTENCY = "crop", "consistency"
POOLS, PADDINGS = ("max", "blur"), ("zeros", "circular")
MARGIN = 0.01  # of consistency: a smaller loss counts as none (published: 0.0024)
ARMS = tuple(f"{pool} {padding}" for pool, padding in product(POOLS, PADDINGS))


def _arm(run: Run) -> str:
    return f"{run.pool} {run.labels.get('padding')}"


def _interaction(read: Reader) -> float:
    """Return the interaction: the effect of both minus the sum of the single effects."""
    both, none = read("blur circular", CROP, CONSISTENCY), read("max zeros", CROP, CONSISTENCY)
    return both - none - _padding_effect(read) - _blur_effect(read)


def _padding_effect(read: Reader) -> float:
    return read("max circular", CROP, CONSISTENCY) - read("max zeros", CROP, CONSISTENCY)


def _blur_effect(read: Reader) -> float:
    return read("blur zeros", CROP, CONSISTENCY) - read("max zeros", CROP, CONSISTENCY)


def _they_add_up(evidence: Evidence) -> Finding | None:
    runs = [run for run in evidence.runs if run.is_trained and run.has(CROP, CONSISTENCY)]
    found = blocks(runs, _arm, free=("padding", "pool"), protocols=(CROP,), arms=ARMS)
    if not found:
        return None
    means = arm_means(found[0], CROP, CONSISTENCY)
    rows = {pool: {one: means[f"{pool} {one}"] for one in PADDINGS} for pool in POOLS}
    effects = [
        f"{name} alone {estimate(found[0], statistic).value:+.3f}"
        for name, statistic in (("padding", _padding_effect), ("blur", _blur_effect))
    ]
    more = sentences(listed(values(means)), *effects)
    every = [estimate(block, _interaction) for block in found]
    return decide_every(every, -MARGIN, more, bars(rows, "padding", "consistency of crops"))


CLAIMS = (
    Claim(
        "K1", "padding_and_blur_add_up",
        "Kayhan & van Gemert 2020 (arXiv 2003.07064), released results",
        "Padding without zeros and blur add up",
        "ResNet18 same=0.8643; full=0.8838; blur=0.8832; both=0.9003",
        f"consistency of crops, both - padding - blur + neither, above -{MARGIN}", ("padding",),
        _they_add_up,
    ),
)  # fmt: skip
