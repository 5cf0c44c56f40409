"""Azulay & Weiss 2019: stability as a function of object size (A4)."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from shiftbench.claims.blocks import Block, blocks, single
from shiftbench.claims.claim import Claim, Finding, Plot, Series, listed
from shiftbench.claims.estimates import Estimate, Reader, estimate
from shiftbench.claims.evidence import Evidence, Run
from shiftbench.claims.one_pixel import CHANGE, ON_CIFAR, ON_IMAGENET, PAPER, is_plain
from shiftbench.claims.plots import reading, series
from shiftbench.claims.verdicts import decide_every

# object_24: the whole image at 24 px, reduced on a canvas or, if larger than the frame, in windows.
NAMED = re.compile(r"(?:object|size|window)_0*(\d+)")
MOST_LINES = 6

# Read off a plot of a third-party rerun (VGG16, torchvision weights): object side as a share of
# the frame, and top1_change.
RERUN = {1 / 1.9: 0.187, 1 / 1.6: 0.156, 1 / 1.3: 0.096, 1.0: 0.07, 0.7**-0.5: 0.056,
         0.4**-0.5: 0.072, 0.1**-0.5: 0.134}  # fmt: skip


def sizes(run: Run) -> dict[int, str]:
    """Return the protocols of a size sweep by the object's side in pixels, small to large."""
    matches = ((NAMED.fullmatch(name), name) for name in run.protocols)
    found = {int(match[1]): name for match, name in matches if match and run.has(name, CHANGE)}
    return dict(sorted(found.items()))


def frame(run: Run) -> float | None:
    """Return the side of the network's input in pixels, None if no setting states it."""
    for size, protocol in sizes(run).items():
        margin = run.settings.get(f"shift.{protocol}.margin")
        if margin:
            return float(size - margin)
        if canvas := run.settings.get(f"shift.{protocol}.canvas"):
            return float(canvas)
    side = run.settings.get("data.size")
    return float(side) if side else None


def nearest(available: Sequence[int], size: float) -> int:
    """Return the size nearest in ratio.

    >>> nearest([12, 16, 24, 40], 32)
    40
    """
    return min(available, key=lambda one: abs(math.log(one / size)))


def _magnification(run: Run) -> str | None:
    """Return the fixed magnification at which a network was trained, None if it varied."""
    scale = run.settings.get("augment.scale")
    if not isinstance(scale, list | tuple) or len(scale) != 2 or scale[0] != scale[1]:
        return None
    return f"{float(scale[0]):g}"


def _moved(evidence: Evidence) -> list[Block]:
    """Return networks that were trained at several sizes and are otherwise equal."""
    swept = [run for run in evidence.runs if run.is_trained and sizes(run) and frame(run)]
    protocols = list(dict.fromkeys(name for run in swept for name in sizes(run).values()))
    found = blocks(swept, _magnification, free=("augment",), protocols=protocols)
    return [block for block in found if len(set(_own(block).values())) == len(block.arms)]


def _own(block: Block) -> dict[str, int]:
    """Return, for every magnification, the swept size nearest to the objects in training."""
    run = block.runs[0]
    side = frame(run) or math.nan
    return {arm: nearest(list(sizes(run)), float(arm) * side) for arm in block.arms}


def _follows(block: Block) -> Estimate:
    """Return the extra instability of networks at each other's training sizes."""
    own, protocol = _own(block), sizes(block.runs[0])

    def statistic(read: Reader) -> float:
        other = [
            read(arm, protocol[size], CHANGE) - read(arm, protocol[own[arm]], CHANGE)
            for arm in own
            for size in own.values()
            if size != own[arm]
        ]
        return math.fsum(other) / len(other)

    return estimate(block, statistic)


def _still(evidence: Evidence) -> list[Block]:
    """Return plain networks measured at sizes below and above that of the frame."""
    runs = [run for run in evidence.runs if is_plain(run) and _has_both_sides(run)]
    protocols = list(dict.fromkeys(name for run in runs for name in sizes(run).values()))
    return single(runs, protocols)


def _has_both_sides(run: Run) -> bool:
    found, side = list(sizes(run)), frame(run)
    return bool(side) and len(found) > 2 and found[0] < nearest(found, side or 1) < found[-1]


def _arms_of_the_u(block: Block) -> Estimate:
    protocol = sizes(block.runs[0])
    small, *_, large = protocol
    middle = nearest(list(protocol), frame(block.runs[0]) or math.nan)

    def statistic(read: Reader) -> float:
        ends = (read("", protocol[size], CHANGE) for size in (small, large))
        return min(ends) - read("", protocol[middle], CHANGE)

    return estimate(block, statistic)


def _u_shaped(evidence: Evidence) -> Finding | None:
    moved, still = _moved(evidence), _still(evidence)
    u_shapes = {block.name or "U": _arms_of_the_u(block) for block in still}
    if moved:
        more = f"own training size at {listed(_named_sizes(moved[0]), 0)} px"
        if u_shapes:
            lowest = min(one.value for one in u_shapes.values())
            more += f"; lower arm of the U of plain networks at least {lowest:+.3f}"
        return decide_every([_follows(block) for block in moved], 0.0, more, _plot(moved, True))
    if not still:
        return None
    more = "the lower of the U's two arms; no network was trained at another size"
    return decide_every(list(u_shapes.values()), 0.0, more, _plot(still, False))


def _named_sizes(block: Block) -> dict[str, float]:
    return {f"×{arm}": float(size) for arm, size in _own(block).items()}


def _plot(found: Sequence[Block], moved: bool) -> Plot:
    lines: list[Series] = []
    for block in found[:1] if moved else found[:MOST_LINES]:
        protocol = sizes(block.runs[0])
        for arm in block.arms:
            points = [estimate(block, reading(arm, name, CHANGE)) for name in protocol.values()]
            name = f"trained at ×{arm}" if moved else block.name or "measured"
            lines.append(series(name, [float(size) for size in protocol], points))
    side = frame(found[0].runs[0]) or math.nan
    largest = max(sizes(found[0].runs[0])) * 1.1
    shown = {share * side: value for share, value in RERUN.items() if share * side < largest}
    rerun = Series("VGG16, ImageNet, rerun", tuple(shown), tuple(shown.values()), published=True)
    return Plot("lines", "object side in px", "top1_change", (*lines, rerun))


CLAIMS = (
    Claim(
        "A4", "stability_peaks_at_trained_size",
        f"{PAPER}, abstract",
        "Stability is highest near the object size of training",
        "0.1=0.13; 0.7 to 1.0=0.05 to 0.07; 1.9=0.17 to 0.19 (third-party rerun, off a plot)",
        "top1_change at other training sizes - at its own, above 0", (ON_CIFAR, ON_IMAGENET),
        _u_shaped,
    ),
)  # fmt: skip
