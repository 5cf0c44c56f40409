"""Zhang 2019: low-pass filters before subsampling (A11, Z1 to Z4)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from shiftbench.claims.blocks import Block, blocks
from shiftbench.claims.claim import UNCHECKED, Claim, Finding, Plot, Series, listed
from shiftbench.claims.estimates import Estimate, Reader, estimate, together
from shiftbench.claims.evidence import Evidence, Run
from shiftbench.claims.plots import arm_means, arms_of_blocks, bars, series, values
from shiftbench.claims.verdicts import decide, decide_every, sentences

PAPER = "Zhang 2019 (arXiv 1904.11486)"
CIRCULAR, CONSISTENCY, ACCURACY = "circular", "consistency", "accuracy"
BLUR, PLAIN = "blur", "plain"
# The pool that blur-pooling replaces; in an external network, its native downsampling.
REFERENCE = {"vgg": "max", "resnet": "stride"}
PUBLISHED = {"1": 0.8920, "2": 0.8996, "3": 0.9091, "4": 0.9129, "5": 0.9131}  # ResNet50


def measured(evidence: Evidence, *metrics: str) -> list[Run]:
    """Return the trained networks that have these metrics under circular shifts."""
    return [run for run in evidence.runs if run.is_trained and run.has(CIRCULAR, *metrics)]


def pairs(evidence: Evidence) -> list[Block]:
    """Return networks with a 3-tap blur, and with the pool that it replaces."""
    return blocks(measured(evidence, CONSISTENCY), side_of, free=("pool",), protocols=(CIRCULAR,),
                  arms=(PLAIN, BLUR))  # fmt: skip


def side_of(run: Run) -> str | None:
    """Return the arm of a network in a comparison of blur, None if it has neither."""
    if run.pool == "blur":
        return BLUR
    return PLAIN if run.pool == REFERENCE.get(run.option("model"), "native") else None


def gains(found: Sequence[Block], metric: str) -> list[Estimate]:
    """Return blur - plain of every block."""
    return [estimate(block, lambda read: _gain(read, metric)) for block in found]


def _gain(read: Reader, metric: str) -> float:
    return read(BLUR, CIRCULAR, metric) - read(PLAIN, CIRCULAR, metric)


def _raises_consistency(evidence: Evidence) -> Finding | None:
    found = pairs(evidence)
    plot = bars(arms_of_blocks(found, CIRCULAR, CONSISTENCY, (PLAIN, BLUR)), "network",
                "consistency")  # fmt: skip
    every = gains(found, CONSISTENCY)
    return decide_every(every, 0.0, _range(every), plot)


def _raises_accuracy(evidence: Evidence) -> Finding | None:
    found = pairs(evidence)
    if not found:
        return None
    every = gains(found, ACCURACY)
    count = f"{sum(one.value > 0 for one in every)} of {len(every)} networks gain"
    plot = bars(arms_of_blocks(found, CIRCULAR, ACCURACY, (PLAIN, BLUR)), "network", "accuracy")
    mean = together(found, lambda read: _gain(read, ACCURACY))
    of = f"mean over {len(every)} networks" if len(every) > 1 else every[0].name or "one network"
    return decide(mean, 0.0, sentences(count, _range(every)), plot, of)


def _range(every: Sequence[Estimate]) -> str:
    found = [one.value for one in every if not math.isnan(one.value)]
    return f"from {min(found):+.3f} to {max(found):+.3f}" if len(found) > 1 else ""


def filters(evidence: Evidence) -> list[Block]:
    """Return blur networks that differ in the number of taps, with at least three numbers."""
    runs = [run for run in measured(evidence, CONSISTENCY) if run.option("pool") == "blur"]
    found = blocks(runs, _taps, free=("pool.filter_size",), protocols=(CIRCULAR,))
    return [block for block in found if len(block.arms) > 2]


def _taps(run: Run) -> str | None:
    taps = run.settings.get("pool.filter_size")
    return None if taps is None else str(taps)


def _slope(read: Reader) -> float:
    taps = sorted(read.arms, key=int)
    seen = [read(arm, CIRCULAR, CONSISTENCY) for arm in taps]
    if any(map(math.isnan, seen)):
        return math.nan
    return float(np.polyfit([int(arm) for arm in taps], seen, 1)[0])


def _grows_with_the_filter(evidence: Evidence) -> Finding | None:
    found = filters(evidence)
    if not found:
        return None
    means = values(arm_means(found[0], CIRCULAR, CONSISTENCY))
    correct = values(arm_means(found[0], CIRCULAR, ACCURACY))
    best = max(correct, key=correct.__getitem__)
    by_taps = listed({taps: means[taps] for taps in sorted(means, key=int)})
    more = (
        f"consistency by taps {by_taps}; accuracy is highest at {best} taps ({correct[best]:.3f})"
    )
    return decide_every(
        [estimate(block, _slope) for block in found], 0.0, more, _taps_plot(found[0])
    )


def _taps_plot(block: Block) -> Plot:
    taps = sorted(block.arms, key=int)
    lines = []
    for metric in (CONSISTENCY, ACCURACY):
        means = arm_means(block, CIRCULAR, metric)
        lines.append(series(metric, [float(arm) for arm in taps], [means[arm] for arm in taps]))
    published = Series("consistency, ResNet50 on ImageNet", tuple(map(float, PUBLISHED)),
                       tuple(PUBLISHED.values()), published=True)  # fmt: skip
    return Plot("lines", "taps of the filter", "fraction", (*lines, published))


def _width_costs_accuracy(evidence: Evidence) -> Finding | None:
    found = [block for block in filters(evidence) if {"3", "7"} <= set(block.arms)]
    if not found:
        return None
    losses = [
        estimate(block, lambda read: read("3", CIRCULAR, ACCURACY) - read("7", CIRCULAR, ACCURACY))
        for block in found
    ]
    change = values(arm_means(found[0], CIRCULAR, "top1_change"))
    left = f"one pixel still changes {change['7']:.3f} of the predictions at 7 taps"
    without = f", {change['1']:.3f} without a filter" if "1" in change else ""
    return decide_every(losses, 0.0, left + without, _taps_plot(found[0]))


def _two_by_two(evidence: Evidence) -> list[Block]:
    runs = [run for run in measured(evidence, CONSISTENCY) if run.option("head") == "gap"]
    return blocks(runs, _corner, free=("pool", "augment"), protocols=(CIRCULAR,),
                  arms=("max none", "max shift", "blur none", "blur shift"))  # fmt: skip


def _corner(run: Run) -> str | None:
    return f"{run.pool} {run.labels.get('augment')}"


def _blur_beats_augmentation(evidence: Evidence) -> Finding | None:
    found = _two_by_two(evidence)
    if not found:
        return None
    every = [
        estimate(
            block,
            lambda read: (
                read("blur none", CIRCULAR, CONSISTENCY) - read("max shift", CIRCULAR, CONSISTENCY)
            ),
        )
        for block in found
    ]
    means = arm_means(found[0], CIRCULAR, CONSISTENCY)
    rows = {
        augment: {pool: means[f"{pool} {augment}"] for pool in ("max", "blur")}
        for augment in ("none", "shift")
    }
    return decide_every(every, 0.0, listed(values(means)), bars(rows, "pool", "consistency"))


def gain_plot(found: Sequence[Block]) -> Plot:
    """Return gains in consistency over gains in accuracy, a dot for every network."""
    x, y = gains(found, ACCURACY), gains(found, CONSISTENCY)
    dots = tuple(
        Series(across.name, (across.value,), (up.value,)) for across, up in zip(x, y, strict=True)
    )
    return Plot("dots", "gain in accuracy", "gain in consistency", dots, zero=True)


RUNS = ("zhang", "azulay_weiss")
CLAIMS = (
    Claim(
        "A11", "wide_blur_costs_accuracy",
        "Azulay & Weiss 2019 (arXiv 1805.12177), abstract",
        "Antialiasing is a partial fix: a wider blur costs accuracy", "direction only (abstract)",
        "accuracy with 3 taps - with 7 taps, above 0", ("zhang",), _width_costs_accuracy,
    ),
    Claim(
        "Z1", "blur_raises_consistency",
        f"{PAPER}, released results", "Blur raises consistency in every network",
        "least=+0.0084; most=+0.0513; 23 of 23 ImageNet networks",
        "consistency, blur - plain, above 0", RUNS, _raises_consistency,
    ),
    Claim(
        "Z2", "blur_raises_accuracy",
        f"{PAPER}, released results", "Blur raises accuracy",
        "least=+0.0002; most=+0.0225; mean=+0.0108; 23 of 23 ImageNet networks",
        "accuracy, blur - plain, mean over networks, above 0", RUNS, _raises_accuracy,
    ),
    Claim(
        "Z3", "wider_blur_more_consistent",
        f"{PAPER}, released results",
        "Consistency grows with the filter; accuracy peaks at 3 to 4 taps",
        f"ResNet50 {listed(PUBLISHED, 4)}",
        "slope of consistency on the number of taps, above 0", ("zhang",), _grows_with_the_filter,
    ),
    Claim(
        "Z4", "blur_beats_augmentation",
        f"{PAPER}, CIFAR-10",
        "Blur without augmentation is more consistent than augmentation without blur",
        f"blur none=0.981; max shift=0.966 ({UNCHECKED})",
        "consistency, blur without - max with augmentation, above 0", RUNS,
        _blur_beats_augmentation,
    ),
)  # fmt: skip
