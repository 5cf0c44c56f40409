"""Whether blur raises consistency by more than its gain in accuracy explains (X1)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from shiftbench.claims.blocks import Block, blocks
from shiftbench.claims.blur import (
    ACCURACY,
    BLUR,
    CIRCULAR,
    CONSISTENCY,
    PAPER,
    PLAIN,
    RUNS,
    gain_plot,
    gains,
    measured,
    pairs,
    side_of,
)
from shiftbench.claims.claim import INCONCLUSIVE, Claim, Finding
from shiftbench.claims.estimates import Estimate, Reader, crossed, estimate
from shiftbench.claims.evidence import Evidence, Run
from shiftbench.claims.plots import reading
from shiftbench.claims.verdicts import decide_every, sentences
from shiftbench.inference.line import Line
from shiftbench.inference.sample import Floats, Sample

FEWEST_ON_A_LINE = 8  # networks that estimate the slope of consistency on accuracy
UNKNOWN = (
    "which images both networks get right is unknown: the runs lack images.npz; "
    "shiftbench report --remeasure writes it from prediction tables"
)


def on_images_that_both_get_right(block: Block) -> Estimate:
    """Return the gain in consistency on the images that both networks classify correctly.

    There both have accuracy 1, so a gain is not due to accuracy. The value is NaN if a run lacks
    the influence of each image.
    """
    found = {seed: _gain_by_image(arms) for seed, arms in block.seeds.items()}
    known = {seed: one for seed, one in found.items() if one is not None}
    names = tuple(run.run_id for seed in known for run in block.seeds[seed].values())
    keys = {one[0] for one in known.values()}
    if len(keys) != 1:
        return Estimate(math.nan, name=block.name, runs=names)
    values = np.array([value for _, value, _ in known.values()])
    rows = np.array([rows for _, _, rows in known.values()])
    made = crossed(Sample(values, {keys.pop(): rows}, tuple(known)))
    return Estimate(made.value, made.low, made.high, made.over, block.name, names, made.deviation,
                    made.sample)  # fmt: skip


def _gain_by_image(arms: Mapping[str, Run]) -> tuple[str, float, Floats] | None:
    """Return the images' digest, the gain on those that both get right, and its influences."""
    right: list[Floats] = []
    consistency: list[Floats] = []
    digests = set()
    for arm in (PLAIN, BLUR):
        for metric, into in ((ACCURACY, right), (CONSISTENCY, consistency)):
            number = arms[arm].numbers[CIRCULAR, metric]
            influence = arms[arm].influence(CIRCULAR, metric)
            if influence is None:
                return None
            digests.add((influence.images, len(influence.numbers)))
            # Of a mean over images, value and influence are the number of the image itself.
            into.append(number.value + influence.numbers)
    both = (right[0] > 0.5) & (right[1] > 0.5)
    if len(digests) != 1 or both.sum() < 2:
        return None
    gain = consistency[1] - consistency[0]
    value = float(gain[both].mean())
    return digests.pop()[0], value, both * (gain - value) / both.mean()


def _trained_longer(evidence: Evidence) -> list[Block]:
    """Return pairs of networks that were trained for several numbers of epochs."""
    found = blocks(measured(evidence, CONSISTENCY, ACCURACY), _at_epochs,
                   free=("pool", "train.epochs"), protocols=(CIRCULAR,))  # fmt: skip
    return [block for block in found if _count(block, PLAIN) > 1 and _count(block, BLUR)]


def _at_epochs(run: Run) -> str | None:
    side, epochs = side_of(run), run.settings.get("train.epochs")
    return None if side is None or epochs is None else f"{side} {epochs}"


def _count(block: Block, side: str) -> int:
    return sum(arm.startswith(f"{side} ") for arm in block.arms)


def at_matched_accuracy(block: Block) -> Estimate:
    """Return the gain in consistency over plain networks of the same accuracy.

    Plain networks trained for several numbers of epochs form a line of consistency over accuracy;
    of the networks with blur, those whose accuracy lies in its range are used.
    """
    found = estimate(block, _above_the_line)
    return Estimate(
        found.value, found.low, found.high, found.over, f"{block.name} at matched accuracy".strip(),
        found.runs, found.deviation, found.sample, found.half_widths,
    )  # fmt: skip


def _above_the_line(read: Reader) -> float:
    points = {
        side: sorted(
            (read(arm, CIRCULAR, ACCURACY), read(arm, CIRCULAR, CONSISTENCY))
            for arm in read.arms
            if arm.startswith(f"{side} ")
        )
        for side in (PLAIN, BLUR)
    }
    x, y = np.array(points[PLAIN]).T
    above = [
        consistency - float(np.interp(accuracy, x, y))
        for accuracy, consistency in points[BLUR]
        if x[0] <= accuracy <= x[-1]
    ]
    return math.fsum(above) / len(above) if above else math.nan


def _beyond_accuracy(evidence: Evidence) -> Finding | None:
    found = pairs(evidence)
    every = [on_images_that_both_get_right(block) for block in found]
    every += [at_matched_accuracy(block) for block in _trained_longer(evidence)]
    more, plot = _line(found), gain_plot(found)
    decided = decide_every(every, 0.0, more, plot)
    if decided is None and found:
        runs = tuple(run.run_id for block in found for run in block.runs)
        return Finding(INCONCLUSIVE, math.nan, math.nan, math.nan, sentences(UNKNOWN, more), runs,
                       plot)  # fmt: skip
    return decided


def _line(found: Sequence[Block]) -> str:
    """Return the gain that a line through the plain networks attributes to accuracy, in words."""
    both = (ACCURACY, CONSISTENCY)
    plain = [
        [estimate(block, reading(PLAIN, CIRCULAR, metric)).value for metric in both]
        for block in found
    ]
    gained = [[gains([block], metric)[0].value for metric in both] for block in found]
    points = np.hstack([np.array(rows).reshape(-1, 2) for rows in (plain, gained)])
    x, y, more_accurate, more_consistent = points[~np.isnan(points).any(axis=1)].T
    if len(x) < FEWEST_ON_A_LINE or np.ptp(x) == 0:
        return ""
    slope = Line.through(x, y).slope
    left = more_consistent.mean() - slope * more_accurate.mean()
    return (
        f"mean gain in consistency {more_consistent.mean():+.3f}; {left:+.3f} beyond what a line "
        f"through the {len(x)} plain networks (slope {slope:.2f}) attributes to accuracy"
    )


CLAIMS = (
    Claim(
        "X1", "blur_helps_beyond_accuracy",
        f"not published; computed from the 23 networks of {PAPER}",
        "Blur still helps once accuracy is accounted for",
        "share of the gain beyond accuracy=0.73 (computed)",
        "consistency of images that both get right, blur - plain, above 0", RUNS,
        _beyond_accuracy,
    ),
)  # fmt: skip
