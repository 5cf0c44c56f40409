"""Azulay & Weiss 2019, section 3: the sampling theorem, exactly and layer by layer (A6 to A8)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from shiftbench.claims.blocks import Block, single
from shiftbench.claims.claim import NOT_REPRODUCED, REPRODUCED, Claim, Finding, Plot, Series
from shiftbench.claims.estimates import Estimate, estimate, over_seeds
from shiftbench.claims.evidence import Evidence, Run
from shiftbench.claims.one_pixel import PAPER, PLAIN
from shiftbench.claims.plots import bars, reading, series
from shiftbench.claims.verdicts import decide_every, decide_exact, sentences

CIRCULAR, EXACT = "circular", "exact_fraction"
GRID_TOLERANCE = 0.05  # relative: by chance a logit comes within rounding of itself
INVARIANT = 0.999
LINEAR = "linear"
MOST_LINES = 6


def _on_a_torus(evidence: Evidence, head: str = "gap") -> list[Run]:
    return [
        run
        for run in evidence.runs
        if run.labels.get("padding") == "circular"
        and run.option("head") == head
        and run.has(CIRCULAR, EXACT)
    ]


def total_stride(run: Run) -> int | None:
    """Return 2 to the number of downsamplings, None where it was left to the model."""
    count = run.settings.get("model.downsamplings")
    return None if count is None else int(2 ** int(count))


def _subsampled(evidence: Evidence) -> list[Block]:
    """Return plain subsampling networks that were shown every shift, the same number per phase."""
    runs = [
        run
        for run in _on_a_torus(evidence)
        if run.pool in ("max", "stride")
        and (stride := total_stride(run))
        and run.numbers[CIRCULAR, EXACT].n_shifts % stride**2 == 0
    ]
    return single(runs, (CIRCULAR,))


def _one_in_s_squared(evidence: Evidence) -> Finding | None:
    found = _subsampled(evidence)
    if not found:
        return None
    ratios = []
    for block in found:
        for arms in block.seeds.values():
            for run in arms.values():
                stride = total_stride(run) or 0
                value = run.numbers[CIRCULAR, EXACT].value * stride**2
                ratios.append(Estimate(value, name=f"s={stride}", runs=(run.run_id,)))
    strides = sorted({total_stride(block.runs[0]) or 0 for block in found})
    more = f"s={', '.join(map(str, strides))}"
    return decide_exact(ratios, 1.0, GRID_TOLERANCE, more, _grid_plot(found, strides))


def _grid_plot(found: Sequence[Block], strides: Sequence[int]) -> Plot:
    law = Series("1/s²", tuple(map(float, strides)), tuple(1 / s**2 for s in strides),
                 published=True)  # fmt: skip
    lines = [law]
    for pool in dict.fromkeys(block.runs[0].pool for block in found):
        points = {
            total_stride(block.runs[0]) or 0: estimate(block, reading("", CIRCULAR, EXACT))
            for block in found
            if block.runs[0].pool == pool
        }
        lines.append(series(pool, [float(s) for s in sorted(points)],
                            [points[s] for s in sorted(points)], pool))  # fmt: skip
    return Plot("lines", "total stride s", "share of shifts without any change", tuple(lines),
                log=True)  # fmt: skip


def _shiftable_is_invariant(evidence: Evidence) -> Finding | None:
    ideal = [run for run in _on_a_torus(evidence) if run.pool == "ideal"]
    linear = _values([run for run in ideal if run.option("model") == LINEAR])
    relu = _values([run for run in ideal if run.option("model") == "vgg"])
    flat = _values([run for run in _on_a_torus(evidence, "flatten")
                    if run.pool == "ideal" and run.option("model") == LINEAR])  # fmt: skip
    if not linear or not relu:
        return None
    rows = {"measured": {name: _mean(values) for name, values in
                         (("linear, gap", linear), ("linear, flatten", flat), ("ReLU, gap", relu))
                         if values}}  # fmt: skip
    worst, best = min(linear.values()), max(relu.values())
    verdict = REPRODUCED if worst >= INVARIANT > best else NOT_REPRODUCED
    told = f"linear networks at least {worst:.4f}, ReLU networks at most {best:.4f}"
    told_flat = f"linear with a flatten head at most {max(flat.values()):.4f}" if flat else ""
    return Finding(verdict, worst, float("nan"), float("nan"), sentences(told, told_flat),
                   (*linear, *relu, *flat), bars(rows, "network", EXACT),
                   f"lowest of {len(linear)} linear runs")  # fmt: skip


def _values(runs: Sequence[Run]) -> dict[str, float]:
    return {run.run_id: run.numbers[CIRCULAR, EXACT].value for run in runs}


def _mean(values: dict[str, float]) -> Estimate:
    return Estimate(float(np.mean(list(values.values()))))


def _less_shiftable(evidence: Evidence) -> Finding | None:
    runs = [
        run
        for run in evidence.runs
        if run.pool in PLAIN and run.option("augment") == "none" and run.option("model") != LINEAR
    ]
    errors = layer_errors(evidence, runs)
    trends = {name: trend(rows) for name, rows in errors.items() if len(rows) > 2}
    found = [
        _over_runs(block, trends) for block in single([run for run in runs if run.run_id in trends])
    ]
    if not found:
        return None
    plot = Plot("lines", "layer", "shiftability error", tuple(_depth_lines(runs, errors)))
    return decide_every(found, 0.0, "", plot)


def layer_errors(evidence: Evidence, runs: Sequence[Run]) -> dict[str, pd.Series[float]]:
    """Return the invariance error of the spatial mean by layer, averaged over shifts but zero."""
    rows = evidence.layers([run.run_id for run in runs]) if runs else pd.DataFrame()
    if rows.empty:
        return {}
    maps = rows[rows["stride"].notna() & ((rows["dy"] != 0) | (rows["dx"] != 0))]
    means = maps.groupby(["run_id", "index"])["invariance_error"].mean().dropna()
    return {
        str(name): part.droplevel("run_id").sort_index()
        for name, part in means.groupby(level="run_id")
    }


def trend(rows: pd.Series[float]) -> float:
    """Return the least-squares slope of a series, from its first row to its last one.

    >>> round(trend(pd.Series([0.1, 0.2, 0.3])), 9)
    0.2
    """
    return float(np.polyfit(np.linspace(0, 1, len(rows)), rows.to_numpy(), 1)[0])


def _over_runs(block: Block, trends: dict[str, float]) -> Estimate:
    values = [trends[run.run_id] for run in block.runs]
    found = over_seeds(values)
    names = tuple(run.run_id for run in block.runs)
    return replace(found, name=block.name, runs=names)


def _depth_lines(runs: Sequence[Run], errors: dict[str, pd.Series[float]]) -> Iterator[Series]:
    """Yield a line per network, the mean over its seeds."""
    for block in single([run for run in runs if run.run_id in errors])[:MOST_LINES]:
        table = pd.concat([errors[run.run_id] for run in block.runs], axis=1)
        yield Series(block.name or "measured", tuple(map(float, table.index)),
                     tuple(table.mean(axis=1)))  # fmt: skip


THEORY = ("theory",)
CLAIMS = (
    Claim(
        "A6", f"{PAPER}, section 3", "Only 1/s² of the translations are exactly invariant",
        "InceptionResNetV2 s=45; 1/2025", f"exact_fraction × s², 1 ± {GRID_TOLERANCE}", THEORY,
        _one_in_s_squared,
    ),
    Claim(
        "A7", f"{PAPER}, section 3",
        "Shiftable features with global average pooling are invariant; ReLU brings aliasing back",
        "linear=1; ReLU<1 (a theorem; its details from memory, unchecked)",
        f"exact_fraction of linear networks, at least {INVARIANT}, and of ReLU networks below",
        THEORY, _shiftable_is_invariant,
    ),
    Claim(
        "A8", f"{PAPER}, section 3", "Features get less shiftable with depth",
        "direction only (a figure)",
        "slope of the layers' shiftability error, first layer to last, above 0",
        ("theory", "azulay_weiss"), _less_shiftable,
    ),
)  # fmt: skip
