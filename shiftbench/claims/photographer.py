"""Azulay & Weiss 2019: bias of data sets, and the limits of augmentation (A9, A10)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

from shiftbench.claims.blocks import Block, blocks
from shiftbench.claims.claim import Claim, Finding, listed
from shiftbench.claims.estimates import Estimate, Reader, estimate
from shiftbench.claims.evidence import Evidence, Run
from shiftbench.claims.one_pixel import BLACK, CHANGE, CROP, PAPER, PLAIN, log_changes
from shiftbench.claims.plots import MOST_SERIES, arm_means, arms_of_blocks, bars, values
from shiftbench.claims.verdicts import decide_every, sentences

CAMERA, CIRCULAR, CONSISTENCY = "camera", "circular", "consistency"
NARROW, WIDE = "centred", "uniform"
NONE, SHIFT = "none", "shift"
TEST_NAMES = {CROP: "crop", BLACK: "black", "typical": "objects as trained"}


def _law(run: Run) -> str | None:
    """Return the distribution of training positions, None unless test scenes are uniform."""
    position = run.settings.get("data.position")
    tested = run.settings.get("data.test.position") or position
    return str(position) if tested == WIDE and position in (NARROW, WIDE) else None


def _biased_data(evidence: Evidence) -> Finding | None:
    runs = [
        run
        for run in evidence.runs
        if run.is_trained and run.pool in PLAIN and run.labels.get("augment") == NONE
        and run.has(CAMERA, CONSISTENCY)
    ]  # fmt: skip
    found = blocks(runs, _law, free=("data.position", "data.test.position"), protocols=(CAMERA,),
                   arms=(NARROW, WIDE))  # fmt: skip
    if not found:
        return None
    every = [
        estimate(
            block, lambda read: read(WIDE, CAMERA, CONSISTENCY) - read(NARROW, CAMERA, CONSISTENCY)
        )
        for block in found
    ]
    parts = (f"{metric} after training on {listed(values(arm_means(found[0], CAMERA, metric)))}"
            for metric in (CONSISTENCY, "accuracy"))  # fmt: skip
    plot = bars(arms_of_blocks(found, CAMERA, CONSISTENCY), "network", "consistency off centre")
    return decide_every(every, 0.0, sentences(*parts), plot)


def _augment(run: Run) -> str | None:
    label = str(run.labels.get("augment"))
    return label if label in (NONE, SHIFT) else None


def _by_protocol(evidence: Evidence) -> list[Block]:
    """Return networks with and without augmentation, tested on crops and on small objects."""
    runs = [run for run in evidence.runs if run.is_trained and run.pool == "max"
            and run.has(CROP, CHANGE) and run.has(BLACK, CHANGE)]  # fmt: skip
    return blocks(runs, _augment, free=("augment",), protocols=(CROP, BLACK), arms=(NONE, SHIFT))


def _outside(run: Run) -> str | None:
    """Return the arm of a run on ``shapes``: its augmentation and its test objects."""
    augment, size = _augment(run), run.settings.get("data.test.object_size")
    if augment is None or "data.test.object_size" not in run.settings:
        return None
    others = ("position", "position_std", "size_law", "rotation", "clutter")
    if any(run.settings.get(f"data.test.{name}") is not None for name in others):
        return None
    return f"{augment} {'typical' if size is None else size}"


def _by_object(evidence: Evidence) -> list[Block]:
    """Return networks with and without augmentation, tested on trained and on other sizes."""
    runs = [run for run in evidence.runs if run.is_trained and run.pool == "max"
            and run.has(CIRCULAR, CHANGE)]  # fmt: skip
    found = blocks(runs, _outside, free=("augment", "data.test"), protocols=(CIRCULAR,))
    return [block for block in found if _is_square(block.arms)]


def _is_square(arms: Sequence[str]) -> bool:
    tested = {arm.partition(" ")[2] for arm in arms}
    wanted = {f"{augment} {one}" for augment in (NONE, SHIFT) for one in tested}
    return len(tested) > 1 and "typical" in tested and wanted <= set(arms)


def _gain(read: Reader, test: str) -> float:
    """Return the factor by which augmentation makes changes rarer, as a logarithm.

    ``test`` is a protocol, or a size of the objects.
    """
    if test in (CROP, BLACK):
        return log_changes(read, NONE, test) - log_changes(read, SHIFT, test)
    none, shift = (log_changes(read, f"{one} {test}", CIRCULAR) for one in (NONE, SHIFT))
    return none - shift


def _tests(block: Block) -> list[str]:
    """Return the tests of a block, first the one on images like those of training."""
    if NONE in block.arms:
        return [CROP, BLACK]
    tested = dict.fromkeys(arm.partition(" ")[2] for arm in block.arms)
    return sorted(tested, key=lambda test: test != "typical")


def _advantage(read: Reader, tests: Sequence[str]) -> float:
    """Return the gain of augmentation on the first test minus its mean gain on the others."""
    first, *others = (_gain(read, test) for test in tests)
    return first - math.fsum(others) / len(others)


def _only_near_typical_images(evidence: Evidence) -> Finding | None:
    found = [*_by_protocol(evidence), *_by_object(evidence)]
    if not found:
        return None
    every = [estimate(block, partial(_advantage, tests=_tests(block))) for block in found]
    rows: dict[str, dict[str, Estimate]] = {}
    for block in found[:MOST_SERIES]:
        for test in _tests(block):
            gain = estimate(block, partial(_gain, test=test)).through(math.exp)
            rows.setdefault(TEST_NAMES.get(test, f"objects {test}"), {})[block.name or "all"] = gain
    more = "the factor by which changes get rarer is this much larger on typical images"
    plot = bars(rows, "network", "times rarer with augmentation")
    return decide_every(every, 0.0, more, plot, shown=math.exp)


CLAIMS = (
    Claim(
        "A9", "photographers_bias",
        f"{PAPER}, on the photographer's bias",
        "Photographer's bias: data with centred objects do not teach invariance elsewhere",
        "direction only", "consistency off centre, trained on uniform - on centred, above 0",
        ("photographer",), _biased_data,
    ),
    Claim(
        "A10", "augmentation_helps_near_training_only",
        f"{PAPER}, abstract",
        "Augmentation buys invariance only for images like those of training",
        "direction only (abstract)",
        "factor by which augmentation makes changes rarer, typical / atypical images, above 1",
        ("azulay_weiss", "photographer"), _only_near_typical_images,
    ),
)  # fmt: skip
