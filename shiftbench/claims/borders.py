"""Kayhan & van Gemert 2020: zero padding reveals position (K1, F2)."""

from __future__ import annotations

from itertools import product

from shiftbench.claims.blocks import blocks
from shiftbench.claims.claim import Claim, Finding, listed
from shiftbench.claims.estimates import Reader, estimate
from shiftbench.claims.evidence import Evidence, Run
from shiftbench.claims.plots import arm_means, arms_of_blocks, bars, values
from shiftbench.claims.verdicts import decide_every, sentences

CROP, TRANSLATE = "crop", "translate"
CONSISTENCY, ACCURACY = "consistency", "accuracy"
POOLS, PADDINGS = ("max", "blur"), ("zeros", "circular")
REVEALED = 0.5  # of accuracy: a network that goes by position only is wrong on swapped rows
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


def _padding_of_dissimilar(run: Run) -> str | None:
    """Return the padding of a run tested on the other class's rows, None for other runs."""
    padding = str(run.labels.get("padding"))
    swapped = run.settings.get("data.test.position") == "dissimilar"
    return padding if swapped and padding in ("full", "zeros") else None


def _padding_reveals_position(evidence: Evidence) -> Finding | None:
    runs = [run for run in evidence.runs if run.is_trained and run.option("data") == "red_green"
            and run.has(TRANSLATE, ACCURACY)]  # fmt: skip
    found = blocks(runs, _padding_of_dissimilar, free=("padding",), protocols=(TRANSLATE,),
                   arms=("full", "zeros"))  # fmt: skip
    if not found:
        return None
    every = [estimate(block, _full_over_zeros) for block in found]
    more = listed(values(arm_means(found[0], TRANSLATE, ACCURACY)))
    plot = bars(arms_of_blocks(found, TRANSLATE, ACCURACY), "network", "accuracy on swapped rows")
    return decide_every(every, REVEALED, more, plot)


def _full_over_zeros(read: Reader) -> float:
    return read("full", TRANSLATE, ACCURACY) - read("zeros", TRANSLATE, ACCURACY)


KAYHAN = "Kayhan & van Gemert 2020 (arXiv 2003.07064)"
CLAIMS = (
    Claim(
        "K1", "padding_and_blur_add_up",
        f"{KAYHAN}, released results",
        "Padding without zeros and blur add up",
        "ResNet18 same=0.8643; full=0.8838; blur=0.8832; both=0.9003",
        f"consistency of crops, both - padding - blur + neither, above -{MARGIN}", ("padding",),
        _they_add_up,
    ),
    Claim(
        "F2", "zero_padding_reveals_position",
        f"{KAYHAN}, Red-Green data set",
        "With zero padding a network classifies by position, with full padding by content",
        "full=0.897; zeros=0.084; circular=0.737; none=0.002",
        f"accuracy on swapped rows, full - zeros, above {REVEALED:g}", ("red_green",),
        _padding_reveals_position,
    ),
)  # fmt: skip
