"""How often each claim is decided wrongly where there is nothing to decide.

    python benchmarks/null_claims.py                 # 10,000 studies of each null
    python benchmarks/null_claims.py --studies 500 Z1 A3

Simulated studies of networks on N = 400 shared test images, judged by the claims' own checks. Each
image has a difficulty that all networks share, each network and each seed adds its own, and each
seed moves the mean by about 0.01. Two nulls for every claim on every network:

not reproduced  every network is exactly at the threshold: the claim is true at its edge, and every
                "not reproduced" is wrong;
reproduced      one network is exactly at the threshold, the others are above: the claim on every
                network is false at its edge, and every "reproduced" is wrong.

S1 stands for the numbers that are known by seed alone (A8 is the other one). Claims that are not
here are of the form of one that is: A2 of A1, A4, A9, A11, S2 and Z4 of Z1; A6, A7 and C1 are exact
and know no chance, C2 and C3 are differences like Z1's.

Predicted on 2026-11-27, before the first run: 1 to 3 % everywhere. A1 and A3 may be above, as
shares near 0 are skewed and intervals of the crossed kind are symmetric; X1 is below if anything.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "claims"))
from made_up import make_run

from shiftbench.claims import CLAIMS, Evidence, Number, Run
from shiftbench.claims.claim import NOT_REPRODUCED, REPRODUCED
from shiftbench.claims.evidence import Influence

IMAGES, SEEDS, SEED_SD = 400, (0, 1, 2), 0.01
BINARY = ("accuracy", "top1_change")  # 0 or 1 for an image; the others are in between
OWN, REPEATED = 0.5, 0.5  # deviation of what a network, and a seed of it, add to the difficulty
CROP, BLACK, CIRCULAR, TRANSLATE = "azulay2019_crop", "azulay2019_black", "circular", "translate"

Means = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Design:
    """A network of a study: expected metrics by protocol, and what ``make_run`` takes."""

    means: Means
    given: dict[str, object]


def network(means: Means, **given: object) -> Design:
    """Return the design of a network."""
    return Design(means, given)


def simulated(designs: list[Design], generator: np.random.Generator) -> Evidence:
    """Return the runs of a study; all of them are of the same images."""
    keys = dict.fromkeys((p, m) for one in designs for p in one.means for m in one.means[p])
    shared = {key: generator.normal(size=IMAGES) for key in keys}
    runs = [run for one in designs for run in _seeds(one, shared, generator)]
    return Evidence(runs, shifts=lambda names: _curves(runs, names, generator))


def _seeds(
    design: Design, shared: dict[tuple[str, str], np.ndarray], generator: np.random.Generator
) -> Iterator[Run]:
    own = {key: OWN * generator.normal(size=IMAGES) for key in shared}
    for seed in SEEDS:
        rows = {
            (protocol, metric): _values(
                mean, metric, shared[protocol, metric] + own[protocol, metric], generator
            )
            for protocol, metrics in design.means.items()
            for metric, mean in metrics.items()
        }
        numbers: dict[str, dict[str, Number]] = {}
        for (protocol, metric), values in rows.items():
            half = 1.96 * values.std(ddof=1) / np.sqrt(IMAGES)
            numbers.setdefault(protocol, {})[metric] = Number(
                values.mean(), values.mean() - half, values.mean() + half, 1024, IMAGES
            )
        yield replace(make_run(numbers, seed=seed, **design.given), influence=_known(rows))


def _known(rows: dict[tuple[str, str], np.ndarray]) -> Callable[[str, str], Influence | None]:
    def influence(protocol: str, metric: str) -> Influence | None:
        values = rows.get((protocol, metric))
        return None if values is None else Influence("test", values - values.mean())

    return influence


def _values(
    mean: float, metric: str, difficulty: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """Return a metric image by image, whose expectation over seeds and images is ``mean``."""
    mixed = difficulty + REPEATED * generator.normal(size=IMAGES)
    scaled = torch.from_numpy(mixed / np.sqrt(1 + OWN**2 + REPEATED**2))
    uniform = torch.special.ndtr(scaled).numpy()
    of_seed = mean + min(SEED_SD, mean / 5) * generator.normal()
    if metric in BINARY:
        return np.asarray(uniform < of_seed, dtype=float)
    return np.asarray(uniform ** (1 / of_seed - 1))  # E[u^a] = 1 / (1 + a)


def _curves(runs: list[Run], names: object, generator: np.random.Generator) -> pd.DataFrame:
    """Return agreement at shifts of 1 to 8 px, none of it a trend but for ``fade`` of a network."""
    rows = []
    for run in runs:
        fade = float(run.settings.get("fade", 0.0))
        noise = generator.normal(scale=0.01, size=8)
        rows += [
            (run.run_id, CIRCULAR, float(px), 0.0, 0.8 - fade * (px > 1) + noise[px - 1])
            for px in range(1, 9)
        ]
    return pd.DataFrame(rows, columns=["run_id", "protocol", "dy", "dx", "agreement"])


HEADS, WIDTHS = ("gap", "flatten"), (8, 16, 32)
ACCURATE = {"accuracy": 0.7, "chance_consistency": 0.1}


def _pairs(gains: list[float], arms: tuple[str, str], **more: float) -> list[Design]:
    """Return pairs of networks with these gains in consistency."""
    return [
        network(
            {CIRCULAR: {**ACCURATE, "consistency": 0.8 + (gain if pool == arms[1] else 0.0),
                        **(more if pool == arms[1] else {})}},
            pool=pool, **{"model.width": width},
        )
        for gain, width in zip(gains, WIDTHS, strict=True) for pool in arms
    ]  # fmt: skip


def _changes(shares: list[dict[str, float]], **given: object) -> list[Design]:
    return [
        network({p: {"top1_change": share} for p, share in one.items()},
                **{"model.width": width}, **given)
        for one, width in zip(shares, WIDTHS, strict=True)
    ]  # fmt: skip


def _depths(slopes: list[float]) -> list[Design]:
    return [
        network({CROP: {"top1_change": 0.1 + slope * (depth - 8) / 10}},
                **{"model.width": width, "model.depth": depth})
        for slope, width in zip(slopes, WIDTHS, strict=True) for depth in (8, 12, 16)
    ]  # fmt: skip


def _taps(slopes: list[float]) -> list[Design]:
    return [
        network({CIRCULAR: {**ACCURATE, "consistency": 0.8 + slope * (taps - 2)}},
                pool="blur" if taps == 3 else f"blur{taps}", **{"model.width": width})
        for slope, width in zip(slopes, WIDTHS, strict=True) for taps in (2, 3, 5, 7)
    ]  # fmt: skip


def _augmented(advantages: list[float]) -> list[Design]:
    shares = {"none": {CROP: 0.2, BLACK: 0.3}, "shift": {CROP: 0.1, BLACK: 0.15}}
    return [
        network({p: {"top1_change": share / (factor if (p, augment) == (CROP, "shift") else 1)}
                 for p, share in shares[augment].items()},
                augment=augment, **{"model.width": width})
        for factor, width in zip(advantages, WIDTHS, strict=True) for augment in shares
    ]  # fmt: skip


def _borders(interactions: list[float]) -> list[Design]:
    base = {"max zeros": 0.80, "max circular": 0.83, "blur zeros": 0.85, "blur circular": 0.88}
    return [
        network({"crop": {"consistency": mean + (effect if arm == "blur circular" else 0.0)}},
                pool=arm.split()[0], padding=arm.split()[1], **{"model.width": width})
        for effect, width in zip(interactions, WIDTHS, strict=True) for arm, mean in base.items()
    ]  # fmt: skip


def _grid(lead: float, of_gap: float) -> list[Design]:
    """Return a grid in which augmentation gains ``lead`` more than a pool, and than a head."""
    found = []
    for pool, head, augment in product(("max", "blur", "aps"), HEADS, ("none", "shift")):
        mean = 0.7 + 0.05 * (pool != "max") + (0.05 + lead - of_gap) * (head == "gap")
        mean += (0.05 + lead) * (augment == "shift")
        found.append(network({p: {"consistency": mean} for p in (TRANSLATE, CIRCULAR)},
                             pool=pool, head=head, augment=augment))  # fmt: skip
    return found


def _fades(fades: list[float]) -> list[Design]:
    return [
        network(
            {CIRCULAR: {"consistency": 0.8}}, head="flatten", **{"model.width": width, "fade": fade}
        )
        for fade, width in zip(fades, WIDTHS, strict=True)
    ]


EDGE, SOME = [0.0, 0.0, 0.0], [0.0, 0.08, 0.08]
NULLS: dict[str, tuple[list[Design], list[Design]]] = {
    "A1": (_changes([{CROP: 0.05}] * 3), _changes([{CROP: 0.05}, {CROP: 0.15}, {CROP: 0.15}])),
    "A3": (
        _changes([{CROP: 0.1, BLACK: 0.2}] * 3),
        _changes([{CROP: 0.1, BLACK: 0.2}, *[{CROP: 0.1, BLACK: 0.5}] * 2]),
    ),
    "A5": (_depths(EDGE), _depths([0.0, 0.2, 0.2])),
    "A10": (_augmented([1.0] * 3), _augmented([1.0, 3.0, 3.0])),
    "K1": (_borders([-0.01] * 3), _borders([-0.01, 0.09, 0.09])),
    "S1": (_fades(EDGE), _fades(SOME)),
    "S3": (_pairs(EDGE, ("stride", "max")), _pairs(SOME, ("stride", "max"))),
    "T1": (_grid(0.0, 0.0), _grid(0.0, 0.1)),
    "X1": (
        _pairs(EDGE, ("max", "blur"), accuracy=0.8),
        _pairs(SOME, ("max", "blur"), accuracy=0.8),
    ),
    "Z1": (_pairs(EDGE, ("max", "blur")), _pairs(SOME, ("max", "blur"))),
    "Z2": (_pairs(EDGE, ("max", "blur")),) * 2,
    "Z3": (_taps(EDGE), _taps([0.0, 0.02, 0.02])),
}
"""Claim by claim: every network at the threshold; one at it and the others above."""


def wrong(key: str, studies: int) -> tuple[float, float, float]:
    """Return how often "not reproduced" and "reproduced" are wrong, and no verdict is possible."""
    generator = np.random.default_rng(sum(map(ord, key)))
    edge, some = NULLS[key]
    refuted = shown = missing = 0
    for _ in range(studies):
        found = CLAIMS[key].check(simulated(edge, generator))
        missing += found is None
        refuted += found is not None and found.verdict == NOT_REPRODUCED
        found = CLAIMS[key].check(simulated(some, generator))
        shown += found is not None and found.verdict == REPRODUCED
    return refuted / studies, shown / studies, missing / studies


def main() -> None:
    """Print a row for every claim."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=10_000)
    parser.add_argument("claims", nargs="*", metavar="CLAIM", help=", ".join(NULLS))
    given = parser.parse_args()
    torch.set_num_threads(1)
    print("| claim | wrong not reproduced | wrong reproduced |\n" + "| --- " * 3 + "|")
    for key in given.claims or NULLS:
        refuted, shown, missing = wrong(key, given.studies)
        note = f" ({100 * missing:.1f} % without a number)" if missing else ""
        print(f"| {key} | {100 * refuted:.1f} % | {100 * shown:.1f} %{note} |", flush=True)


if __name__ == "__main__":
    main()
