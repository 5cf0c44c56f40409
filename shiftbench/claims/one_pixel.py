"""Azulay & Weiss 2019, table 1: the effect of a shift by one pixel (A1, A2, A3, A5)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from shiftbench.claims.blocks import Block, blocks, single
from shiftbench.claims.claim import Claim, Finding, Plot, listed
from shiftbench.claims.estimates import Estimate, Reader, estimate, together
from shiftbench.claims.evidence import Evidence, Run
from shiftbench.claims.plots import arm_means, bars, reading, series, values
from shiftbench.claims.verdicts import decide_every, sentences

PAPER = "Azulay & Weiss 2019 (arXiv 1805.12177)"
CROP, BLACK = "azulay2019_crop", "azulay2019_black"
PROTOCOLS = {"crop": CROP, "black": BLACK, "inpaint": "azulay2019_inpaint",
             "scale": "azulay2019_scale"}  # fmt: skip
CHANGE, MEAN_CHANGE = "top1_change", "mean_absolute_change"
PLAIN = ("max", "stride", "native")
# The smallest numbers of table 1, both of VGG16 with Keras weights on crops.
OFTEN, MUCH = 0.05, 0.027
LAYERS = 10
DOUBLE = 2.0  # the smallest ratio of table 1 is 0.29 / 0.14


def is_plain(run: Run) -> bool:
    """Whether a network is of the kind that the paper measured: trained, not antialiased."""
    return run.is_trained and run.pool in PLAIN and run.option("augment") in ("none", "crop")


def networks(evidence: Evidence, protocols: Sequence[str], metric: str = CHANGE) -> list[Block]:
    """Return the plain networks that were measured under all of the protocols."""
    runs = [
        run
        for run in evidence.runs
        if is_plain(run) and all(run.has(protocol, metric) for protocol in protocols)
    ]
    return single(runs, protocols)


def _every(evidence: Evidence, metric: str, threshold: float, drawn: dict[str, float]) -> (
    Finding | None
):  # fmt: skip
    found = networks(evidence, [CROP], metric)
    if not found:
        return None
    means = {
        name: together(shown, reading("", protocol, metric))
        for name, protocol in PROTOCOLS.items()
        if (shown := networks(evidence, [protocol], metric))
    }
    plot = bars({"measured": means}, "protocol", metric, drawn)
    more = f"mean over networks: {listed(values(means))}"
    every = [estimate(block, reading("", CROP, metric)) for block in found]
    return decide_every(every, threshold, more, plot)


def _changes_often(evidence: Evidence) -> Finding | None:
    return _every(evidence, CHANGE, OFTEN, {"crop": 0.062, "black": 0.18})


def _probability_moves(evidence: Evidence) -> Finding | None:
    return _every(evidence, MEAN_CHANGE, MUCH, {"crop": 0.038, "black": 0.06})


def log_changes(read: Reader, arm: str, protocol: str) -> float:
    """Return the logarithm of the share of changed predictions, with half an image added.

    The value is therefore finite for a network without a change (Anscombe, Biometrika 43, 1956);
    NaN if the run lacks the metric.
    """
    number = read.n_images(arm, protocol, CHANGE)
    share = read(arm, protocol, CHANGE)
    if not number or math.isnan(share):
        return math.nan
    return math.log(max(share, 0.0) + 0.5 / number)


def _log_ratio(read: Reader) -> float:
    return log_changes(read, "", BLACK) - log_changes(read, "", CROP)


def _small_objects(evidence: Evidence) -> Finding | None:
    found = networks(evidence, [CROP, BLACK])
    if not found:
        return None
    ratios = [estimate(block, _log_ratio) for block in found]
    rows = {
        name: {block.name or "all": estimate(block, reading("", protocol, CHANGE))
               for block in found[:6]}
        for name, protocol in (("crop", CROP), ("black", BLACK))
    }  # fmt: skip
    worse = sum(one.value > 0 for one in ratios)
    more = f"black is worse than crop in {worse} of {len(ratios)}"
    plot = bars(rows, "network", CHANGE)
    return decide_every(ratios, math.log(DOUBLE), more, plot, shown=math.exp)


def _depths(evidence: Evidence) -> list[Block]:
    runs = [run for run in evidence.runs if is_plain(run) and run.has(CROP, CHANGE)]
    return blocks(runs, _depth, free=("model.depth",), protocols=(CROP,))


def _depth(run: Run) -> str | None:
    depth = run.settings.get("model.depth")
    return None if depth is None else str(depth)


def _ordered(block: Block) -> list[str]:
    return sorted(block.arms, key=int)


def _slope_over_depth(block: Block) -> Estimate:
    """Return the change of the share of changed predictions per ten more layers."""
    depths = _ordered(block)

    def statistic(read: Reader) -> float:
        seen = [read(depth, CROP, CHANGE) for depth in depths]
        if any(map(math.isnan, seen)):
            return math.nan
        return LAYERS * float(np.polyfit([float(depth) for depth in depths], seen, 1)[0])

    return estimate(block, statistic)


def _deeper_is_worse(evidence: Evidence) -> Finding | None:
    found = _depths(evidence)
    if not found:
        return None
    parts = []
    for metric in (CHANGE, "accuracy", "correct_consistency"):
        means = values(arm_means(found[0], CROP, metric))
        parts.append(
            f"{metric} by depth {listed({depth: means[depth] for depth in _ordered(found[0])})}"
        )
    more = sentences(*parts)
    return decide_every([_slope_over_depth(block) for block in found], 0.0, more,
                        _depth_plot(found))  # fmt: skip


def _depth_plot(found: Sequence[Block]) -> Plot:
    lines = []
    for block in found[:6]:
        means = arm_means(block, CROP, CHANGE)
        depths = _ordered(block)
        lines.append(series(block.name or "measured", [float(one) for one in depths],
                            [means[one] for one in depths]))  # fmt: skip
    return Plot("lines", "depth (convolutions)", "top1_change of crops", tuple(lines))


ON_CIFAR, ON_IMAGENET = "azulay_weiss", "azulay_weiss_imagenet"
CLAIMS = (
    Claim(
        "A1", "one_pixel_changes_top1",
        f"{PAPER}, table 1", "One pixel often changes the top-1 class",
        "crop VGG16=0.062; ResNet50=0.061; DenseNet121=0.068; Keras crop=0.05 to 0.14; "
        "black VGG16=0.18; ResNet50=0.20; DenseNet121=0.19",
        f"top1_change of crops, above {OFTEN}", (ON_CIFAR, ON_IMAGENET), _changes_often,
    ),
    Claim(
        "A2", "one_pixel_moves_probability",
        f"{PAPER}, table 1", "One pixel moves the top class's probability",
        "crop VGG16=0.038; ResNet50=0.040; DenseNet121=0.045; "
        "black VGG16=0.060; ResNet50=0.086; DenseNet121=0.079",
        f"mean_absolute_change of crops, above {MUCH}", (ON_CIFAR, ON_IMAGENET),
        _probability_moves,
    ),
    Claim(
        "A3", "small_objects_less_stable",
        f"{PAPER}, table 1",
        "Small objects on black are about three times less stable than crops",
        "ratio VGG16=2.9; ResNet50=3.3; DenseNet121=2.8; Keras=2.1 to 2.2",
        f"top1_change, black / crop, above {DOUBLE:g}", (ON_CIFAR, ON_IMAGENET), _small_objects,
    ),
    Claim(
        "A5", "deeper_less_stable",
        "Azulay & Weiss 2018 (arXiv 1805.12177v1), abstract; 2019, table 1",
        "Deeper networks are less stable",
        "Keras crop VGG16=0.05; ResNet50=0.14; disputed by PyTorch crop VGG16=0.062; "
        "ResNet50=0.061; DenseNet121=0.068",
        f"slope of top1_change of crops over depth, per {LAYERS} layers, above 0",
        (ON_CIFAR,), _deeper_is_worse,
    ),
)  # fmt: skip
