"""How often the verdict of S3 would be another one if its networks were trained again.

    python benchmarks/redraws.py RUNS            # folders of runs, e.g. of experiment=azulay_weiss

Each redraw gives every pair of networks (max, stride) as many other seeds, with the deviation that
was measured, on other test images: resampled ones where runs have images.npz, else an error of the
size that metrics.csv has. Printed are the verdicts of the redraws, for each pair by its own
interval and for S3 as a whole.

Predicted on 2026-11-27, before the first run: the same verdict in 9 of 10 or more, since the
intervals of networks without images.npz are wider than their errors.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from shiftbench.claims.blocks import blocks
from shiftbench.claims.estimates import NORMAL, Estimate, crossed, estimate
from shiftbench.claims.evidence import Evidence
from shiftbench.claims.verdicts import decide, decide_every
from shiftbench.inference.crossed import Deviation
from shiftbench.inference.sample import Sample
from shiftbench.report.load.collect import collect
from shiftbench.report.load.published import evidence_of

CIRCULAR, CONSISTENCY, ARMS = "circular", "consistency", ("max", "stride")


def pairs(evidence: Evidence) -> list[Estimate]:
    """Return max - stride in consistency of every pair of networks, as S3 reads it."""
    runs = [run for run in evidence.runs if run.is_trained and run.pool in ARMS
            and run.has(CIRCULAR, CONSISTENCY)]  # fmt: skip
    found = blocks(runs, lambda run: run.pool, free=("pool",), protocols=(CIRCULAR,), arms=ARMS)
    return [
        estimate(block, lambda read: read("max", CIRCULAR, CONSISTENCY)
                 - read("stride", CIRCULAR, CONSISTENCY))
        for block in found
    ]  # fmt: skip


def redrawn(every: Sequence[Estimate], generator: np.random.Generator) -> list[Estimate]:
    """Return the estimates of other seeds and other images, the same images for all networks."""
    common = generator.normal()
    weights: dict[int, np.ndarray] = {}
    return [_again(one, common, weights, generator) for one in every]


def _again(
    one: Estimate, common: float, weights: dict[int, np.ndarray], generator: np.random.Generator
) -> Estimate:
    sample, deviation = one.sample, one.deviation
    if sample is None or deviation is None:
        raise SystemExit(f"{one.name} has no interval to redraw from")
    values = sample.mean + np.std(sample.values, ddof=1) * generator.normal(size=sample.values.size)
    if not sample.images:
        below, above = one.half_widths
        values = values + common * (below + above) / 2 / NORMAL
        made = Deviation(float(np.var(values, ddof=1)) / len(values), degrees=len(values) - 1.0,
                         carried=deviation.carried)  # fmt: skip
        half = made.half()
        value = float(values.mean())
        return replace(one, value=value, low=value - half, high=value + half, deviation=made,
                       sample=Sample(values, {}, sample.seeds))  # fmt: skip
    images = {}
    for key, rows in sample.images.items():
        number = rows.shape[1]
        if number not in weights:
            weights[number] = generator.integers(0, number, number)
        chosen = rows[:, weights[number]]
        values = values + chosen.mean()
        images[key] = chosen - chosen.mean(axis=1, keepdims=True)
    found = crossed(Sample(values, images, sample.seeds))
    return replace(found, name=one.name, runs=one.runs)


def main() -> None:
    """Print the verdicts of the redraws."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--redraws", type=int, default=1000)
    given = parser.parse_args()
    every = pairs(evidence_of(collect(given.runs)))
    generator = np.random.default_rng(0)
    names = [f"the pair {one.name}" for one in every] + ["S3, every pair"]
    counts: dict[str, Counter[str]] = {name: Counter() for name in names}
    for _ in range(given.redraws):
        again = redrawn(every, generator)
        for name, verdict in zip(names, _verdicts(again), strict=True):
            counts[name][verdict] += 1
    for name, verdict in zip(names, _verdicts(every), strict=True):
        shares = ", ".join(f"{100 * n / given.redraws:.1f} % {other}"
                           for other, n in counts[name].most_common())  # fmt: skip
        print(f"{name}: {verdict}; of {given.redraws:,} redraws {shares}")


def _verdicts(every: Sequence[Estimate]) -> list[str]:
    """Return the verdict on each pair, and on all of them."""
    found = [*(decide(one) for one in every), decide_every(every)]
    return [one.verdict if one else "none" for one in found]


if __name__ == "__main__":
    main()
