"""How often the rules of claims decide wrongly where there is nothing to decide.

    python benchmarks/null_studies.py                # 10,000 studies of each kind, an hour
    python benchmarks/null_studies.py --studies 500

Simulated studies of J networks, S seeds and N images, all seeds and networks on the same images,
judged by ``decide_every``. Two nulls, each at the edge of being true:

reproduced      one network has no effect, the others three times the deviation of a seed: claims on
                every network are false, so every "reproduced" is wrong;
not reproduced  no network has an effect, or all of them a tiny one: claims on every network cannot
                be refuted, so every "not reproduced" is wrong.

Predicted on 2026-11-27, before the first run: 2 to 3 % for "reproduced" (the one network's
interval, one end of it), at most 2.5 % for "not reproduced" (an end of simultaneous intervals); the
same for the mean over networks at its own null, where networks differ by the deviation of a seed.
"""

from __future__ import annotations

import argparse
from collections import Counter

import numpy as np

from shiftbench.claims.claim import NOT_REPRODUCED, REPRODUCED
from shiftbench.claims.estimates import Estimate, crossed
from shiftbench.claims.verdicts import decide_every
from shiftbench.inference.sample import Sample

SEED_SD = 0.01
IMAGES = 200
KINDS = [(networks, seeds, shared) for networks in (1, 2, 4, 9) for seeds in (1, 3, 5)
         for shared in (0.0, 1.0, 3.0)]  # fmt: skip


def study(
    generator: np.random.Generator, effects: np.ndarray, seeds: int, shared: float
) -> list[Estimate]:
    """Return what is estimated of networks with these effects.

    ``shared``: deviation of a mean that comes from the images, alike in all networks and seeds,
    over that which comes from a seed. Images also deviate by network, and by network and seed.
    """
    per_image = SEED_SD * np.sqrt(IMAGES)
    common = shared * per_image * generator.normal(size=IMAGES)
    found = []
    for number, effect in enumerate(effects):
        # One seed has no deviation over seeds that its interval could know of.
        own_seed = SEED_SD * generator.normal(size=(seeds, 1)) * (seeds > 1)
        rows = (
            effect + own_seed + common
            + 0.5 * per_image * generator.normal(size=IMAGES)
            + 0.5 * per_image * generator.normal(size=(seeds, IMAGES))
        )  # fmt: skip
        means = rows.mean(axis=1)
        sample = Sample(means, {"test": rows - means[:, None]}, tuple(range(seeds)))
        made = crossed(sample)
        found.append(Estimate(made.value, made.low, made.high, made.over, str(number), (),
                              made.deviation, sample))  # fmt: skip
    return found


def wrong(kind: tuple[int, int, float], studies: int) -> tuple[float, float, float, float]:
    """Return how often "reproduced" and "not reproduced" are wrong, and so for the mean."""
    networks, seeds, shared = kind
    generator = np.random.default_rng(hash(kind) % 2**32)
    tally: Counter[str] = Counter()
    for _ in range(studies):
        one_without = np.full(networks, 3 * SEED_SD)
        one_without[0] = 0.0
        found = decide_every(study(generator, one_without, seeds, shared))
        tally["reproduced"] += found is not None and found.verdict == REPRODUCED
        found = decide_every(study(generator, np.zeros(networks), seeds, shared))
        tally["not"] += found is not None and found.verdict == NOT_REPRODUCED
        spread = SEED_SD * generator.normal(size=networks)
        mean = decide_every(study(generator, spread, seeds, shared))
        tally["mean"] += mean is not None and mean.mean_verdict == REPRODUCED
        tally["mean not"] += mean is not None and mean.mean_verdict == NOT_REPRODUCED
    rates = [tally[name] / studies for name in ("reproduced", "not", "mean", "mean not")]
    return rates[0], rates[1], rates[2], rates[3]


def main() -> None:
    """Print a row for every kind of study."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=10_000)
    given = parser.parse_args()
    print("| networks | seeds | images / seed | wrong reproduced | wrong not reproduced "
          "| of the mean: reproduced | not reproduced |\n" + "| --- " * 7 + "|")  # fmt: skip
    for kind in KINDS:
        rates = " | ".join(f"{100 * rate:.1f} %" for rate in wrong(kind, given.studies))
        print(f"| {kind[0]} | {kind[1]} | {kind[2]:g} | {rates} |", flush=True)


if __name__ == "__main__":
    main()
