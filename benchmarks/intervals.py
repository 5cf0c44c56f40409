"""How often intervals over images hold the truth, and how long they take.

python benchmarks/intervals.py           # coverage of every metric: 12 minutes of a core
python benchmarks/intervals.py pairs     # of differences between two networks: 6 minutes
python benchmarks/intervals.py chance    # of chance_consistency, by shares of classes: 4 minutes
python benchmarks/intervals.py time      # 10,000 images × 1,024 shifts: half a minute

Coverage is that of 95 % intervals over ``--trials`` samples (a half of them from 1,000 images on)
of the populations in ``tests/metric/simulated.py``; its standard error is 0.005 for 2,000. A figure
is marked ``<`` below 0.93 and ``>`` above 0.97, and followed by the shares of samples in which the
truth lay below and above the interval.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from shiftbench.metric import evaluate
from shiftbench.metric.example import table_of

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "metric"))
import simulated
from simulated import NAMES, PAIRS, POPULATIONS, SHARES, Tally

IMAGES, SHIFTS, RESAMPLES, REPEATS = 10_000, 1_024, 1_000, 5
NUMBERS = (30, 100, 1000)


def main() -> None:
    """Print the table that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "what", nargs="?", default="metrics", choices=("metrics", "pairs", "chance", "time")
    )
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--shifts", type=int, default=9)
    parser.add_argument("--only", choices=(*POPULATIONS, *PAIRS), help="this population alone")
    chosen = parser.parse_args()
    {"metrics": metrics, "pairs": pairs, "chance": chance, "time": timing}[chosen.what](chosen)


def metrics(chosen: argparse.Namespace) -> None:
    """Print the coverage of every metric in every population."""
    for name in [chosen.only] if chosen.only else POPULATIONS:
        draw = simulated.of_chances(POPULATIONS[name], chosen.shifts)
        truth = simulated.truths(draw, NAMES)
        rows(name, chosen.trials, partial(simulated.tally, draw, truth))


def pairs(chosen: argparse.Namespace) -> None:
    """Print the coverage of differences."""
    for name in [chosen.only] if chosen.only else PAIRS:
        draw = simulated.of_pairs(name, chosen.shifts)
        rows(name, chosen.trials, partial(simulated.tally_pairs, draw, NAMES))


def chance(chosen: argparse.Namespace) -> None:
    """Print the coverage of chance_consistency where images get one class each."""
    for name, shares in SHARES.items():
        truth = {"chance_consistency": float(np.sum(shares**2))}
        draw = simulated.of_shares(shares)
        rows(name, chosen.trials, partial(simulated.tally, draw, truth))


def rows(name: str, trials: int, count: Callable[[int, int], Mapping[str, Tally]]) -> None:
    """Print a line for each metric, with a column for each number of images."""
    found = [count(number, trials if number < 1000 else trials // 2) for number in NUMBERS]
    for metric, first in found[0].items():
        cells = " | ".join(cell(part[metric]) for part in found)
        print(f"| {name} | {metric} | {first.truth:.4f} | {cells} |", flush=True)


def cell(one: Tally) -> str:
    """Return the coverage, and on which side the truth was missed."""
    total = one.held + one.below + one.above
    mark = "<" if one.coverage < 0.93 else ">" if one.coverage > 0.97 else ""
    return f"{mark}{one.coverage:.3f} ({one.below / total:.3f}, {one.above / total:.3f})"


def timing(_: argparse.Namespace) -> None:
    """Print the median time of all metrics for 10 and for 1,000 classes."""
    random = np.random.default_rng(0)
    for classes in (10, 1000):
        labels = random.integers(0, classes, IMAGES)
        noise = random.random((IMAGES, SHIFTS)) < 0.3
        guesses = random.integers(0, classes, (IMAGES, SHIFTS))
        table = table_of(np.where(noise, guesses, labels[:, None]), labels, num_classes=classes)
        seconds = []
        for _repeat in range(REPEATS):
            started = time.perf_counter()
            found = evaluate(table, resamples=RESAMPLES)
            seconds.append(time.perf_counter() - started)
        print(f"{classes:>5} classes: {len(found)} metrics in {statistics.median(seconds):.2f} s "
              f"({min(seconds):.2f} to {max(seconds):.2f})")  # fmt: skip


if __name__ == "__main__":
    main()
