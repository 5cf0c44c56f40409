"""Contributions of pooling, the head and augmentation to invariance (S1 to S3, T1)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from itertools import product

import numpy as np
import pandas as pd

from shiftbench.claims.blocks import Block, blocks, single
from shiftbench.claims.claim import Claim, Finding, Plot, Series, listed
from shiftbench.claims.estimates import Estimate, Reader, estimate, over_seeds
from shiftbench.claims.evidence import Evidence, Run
from shiftbench.claims.plots import arm_means, arms_of_blocks, bars, values
from shiftbench.claims.verdicts import decide_every

ARTICLE = "common teaching about pooling; no single source"
CIRCULAR, TRANSLATE, CONSISTENCY = "circular", "translate", "consistency"
FAR = 4.0  # pixels
HEADS, AUGMENTS = ("gap", "flatten"), ("none", "shift")
FACTORS = ("pool", "head", "augment")
ANTIALIASED = ("avg", "blur", "aps")


def _trained(evidence: Evidence, protocol: str = CIRCULAR) -> list[Run]:
    return [run for run in evidence.runs if run.is_trained and run.has(protocol, CONSISTENCY)]


def agreement(evidence: Evidence, runs: Sequence[Run]) -> dict[str, pd.Series[float]]:
    """Return, by run, the agreement with the unshifted image at each distance in whole pixels."""
    rows = evidence.shifts([run.run_id for run in runs]) if runs else pd.DataFrame()
    if rows.empty:
        return {}
    rows = rows[rows["protocol"] == CIRCULAR].dropna(subset=["dy", "dx", "agreement"])
    away = np.hypot(rows["dy"].astype(float), rows["dx"].astype(float))
    rows = rows.assign(distance=np.floor(away + 0.5))[away > 0]
    means = rows.groupby(["run_id", "distance"])["agreement"].mean()
    return {
        str(name): part.droplevel("run_id").sort_index()
        for name, part in means.groupby(level="run_id")
    }


def _fade(curve: pd.Series[float]) -> float:
    """Return agreement at one pixel minus that at half the largest distance and beyond.

    NaN without a shift by one pixel, or without a far one.
    """
    farthest = float(curve.index.max())
    if 1.0 not in curve.index or farthest < FAR:
        return math.nan
    return float(curve.loc[1.0] - curve[curve.index >= farthest / 2].mean())


def _fades(evidence: Evidence) -> Finding | None:
    runs = [
        run
        for run in _trained(evidence)
        if run.pool == "max" and run.labels.get("augment") == "none"
    ]
    found = single([run for run in runs if run.option("head") == "flatten"], (CIRCULAR,))
    if not found:
        return None
    curves = agreement(evidence, runs)
    every = [_fade_of(block, curves) for block in found]
    return decide_every(every, 0.0, "networks with a flatten head", _distance_plot(runs, curves))


def _fade_of(block: Block, curves: dict[str, pd.Series[float]]) -> Estimate:
    runs = [run for run in block.runs if run.run_id in curves]
    found = [_fade(curves[run.run_id]) for run in runs]
    one = over_seeds([value for value in found if not math.isnan(value)])
    names = tuple(run.run_id for run in runs)
    return replace(one, name=block.name, runs=names)


def _distance_plot(runs: Sequence[Run], curves: dict[str, pd.Series[float]]) -> Plot:
    lines = []
    for head in dict.fromkeys(run.option("head") for run in runs):
        shown = [curves[run.run_id] for run in runs
                 if run.option("head") == head and run.run_id in curves]  # fmt: skip
        if shown:
            table = pd.concat(shown, axis=1)
            lines.append(Series(head, tuple(map(float, table.index)), tuple(table.mean(axis=1)),
                                tuple(table.min(axis=1)), tuple(table.max(axis=1))))  # fmt: skip
    return Plot("lines", "shift in px", "share with unchanged prediction", tuple(lines))


def _corners(evidence: Evidence) -> list[Block]:
    runs = [run for run in _trained(evidence) if run.pool == "max"]
    arms = [f"{head} {augment}" for head, augment in product(HEADS, AUGMENTS)]
    return blocks(runs, _corner, free=("head", "augment"), protocols=(CIRCULAR,), arms=arms)


def _corner(run: Run) -> str:
    return f"{run.option('head')} {run.labels.get('augment')}"


def _interaction(read: Reader) -> float:
    def gain(head: str) -> float:
        shift, none = (read(f"{head} {augment}", CIRCULAR, CONSISTENCY)
                       for augment in ("shift", "none"))  # fmt: skip
        return shift - none

    return gain("flatten") - gain("gap")


def _flatten_learns_it(evidence: Evidence) -> Finding | None:
    found = _corners(evidence)
    if not found:
        return None
    means = arm_means(found[0], CIRCULAR, CONSISTENCY)
    rows = {augment: {head: means[f"{head} {augment}"] for head in HEADS} for augment in AUGMENTS}
    plot = bars(rows, "head", "consistency")
    return decide_every([estimate(block, _interaction) for block in found], 0.0,
                        listed(values(means)), plot)  # fmt: skip


def _stride_keeps_less(evidence: Evidence) -> Finding | None:
    runs = [run for run in _trained(evidence) if run.pool in ("max", "stride")]
    found = blocks(runs, lambda run: run.pool, free=("pool",), protocols=(CIRCULAR,),
                   arms=("max", "stride"))  # fmt: skip
    every = [
        estimate(
            block,
            lambda read: read("max", CIRCULAR, CONSISTENCY) - read("stride", CIRCULAR, CONSISTENCY),
        )
        for block in found
    ]
    plot = bars(arms_of_blocks(found, CIRCULAR, CONSISTENCY), "network", "consistency")
    return decide_every(every, 0.0, "", plot)


def _grids(evidence: Evidence, protocol: str) -> list[Block]:
    """Return full grids of pool × head × augmentation with at least two pools."""
    runs = [
        run
        for run in _trained(evidence, protocol)
        if run.option("head") in HEADS
        and run.labels.get("augment") in AUGMENTS
        and run.pool in ("max", "avg", "stride", "blur", "aps")
    ]
    corners = [f"{head} {augment}" for head, augment in product(HEADS, AUGMENTS)]
    whole = blocks(runs, _corner, free=("head", "augment"), protocols=(protocol,), arms=corners)
    found = blocks([run for block in whole for run in block.runs], _cell, free=FACTORS,
                   protocols=(protocol,))  # fmt: skip
    return [block for block in found if len(_pools(block.arms)) > 1]


def _pools(cells: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(cell.partition(" ")[0] for cell in cells))


def _cell(run: Run) -> str:
    return f"{run.pool} {_corner(run)}"


def _mean(read: Reader, protocol: str, **levels: str) -> float:
    """Return the mean consistency over the cells of a grid that have these levels."""
    found = [
        read(f"{pool} {head} {augment}", protocol, CONSISTENCY)
        for pool, head, augment in product(_pools(read.arms), HEADS, AUGMENTS)
        if levels.items() <= {"pool": pool, "head": head, "augment": augment}.items()
    ]
    return math.fsum(found) / len(found)


def _gain(read: Reader, protocol: str, factor: str, step: tuple[str, str]) -> float:
    """Return the gain from one level of a factor to another, averaged over all else."""
    before, after = (_mean(read, protocol, **{factor: level}) for level in step)
    return after - before


def _steps(block: Block) -> list[tuple[str, tuple[str, str]]]:
    """Return the changes of architecture in a grid: away from max pooling, and to a global head."""
    pools = [pool for pool in ANTIALIASED if pool in _pools(block.arms)]
    reference = [("pool", ("max", pool)) for pool in pools if "max" in _pools(block.arms)]
    return [*reference, ("head", ("flatten", "gap"))]


def _augmentation_matters_more(evidence: Evidence) -> Finding | None:
    every: list[Estimate] = []
    rows: dict[str, dict[str, Estimate]] = {}
    for protocol in (TRANSLATE, CIRCULAR):
        for block in _grids(evidence, protocol):
            found = _against_augmentation(block, protocol)
            every += found.values()
            gains = {"augment: none → shift": partial(_gain, protocol=protocol, factor="augment",
                                                      step=AUGMENTS)}  # fmt: skip
            gains |= {
                f"{factor}: {' → '.join(step)}": partial(_gain, protocol=protocol, factor=factor,
                                                         step=step)
                for factor, step in _steps(block)
            }  # fmt: skip
            rows.setdefault(protocol, {name: estimate(block, gain) for name, gain in gains.items()})
    more = "; ".join(f"gains under {name}: {listed(values(row))}" for name, row in rows.items())
    plot = bars(rows, "step", "gain in consistency")
    return decide_every(every, 0.0, more, plot, each="contrasts")


def _against_augmentation(block: Block, protocol: str) -> dict[str, Estimate]:
    """Return, by change of architecture, the gain from augmentation minus that from the change."""
    found = {}
    for factor, step in _steps(block):
        name = f"{protocol}, augment - {factor} {' → '.join(step)}"

        def lead(read: Reader, factor: str = factor, step: tuple[str, str] = step) -> float:
            own = _gain(read, protocol, "augment", AUGMENTS)
            return own - _gain(read, protocol, factor, step)

        found[name] = replace(estimate(block, lead), name=name)
    return found


RUNS = ("azulay_weiss",)
CLAIMS = (
    Claim(
        "S1", "pooling_invariance_is_local",
        ARTICLE, "Pooling gives invariance only locally: it fades as the shift grows",
        "direction only", "agreement at 1 px - at half the farthest shift and beyond, above 0",
        RUNS, _fades,
    ),
    Claim(
        "S2", "flatten_learns_invariance",
        ARTICLE, "Without global pooling, invariance is learned from augmented data",
        "direction only",
        "gain in consistency from augmentation, flatten - gap, above 0", RUNS, _flatten_learns_it,
    ),
    Claim(
        "S3", "stride_keeps_less_invariance",
        ARTICLE, "Strided convolution keeps less invariance than pooling", "direction only",
        "consistency, max - stride, above 0", RUNS, _stride_keeps_less,
    ),
    Claim(
        "T1", "augmentation_outweighs_architecture",
        "Kauderer-Abrams 2017 (arXiv 1801.01450), abstract",
        "Augmentation matters more than architecture", "direction only (abstract)",
        "gain in consistency, augmentation - each step of architecture, above 0", RUNS,
        _augmentation_matters_more,
    ),
)  # fmt: skip
