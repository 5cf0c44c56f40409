"""Excludes networks near chance: a network that guesses is neither stable nor unstable."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from shiftbench.claims.blocks import block_key
from shiftbench.claims.evidence import Evidence, Run

ABOVE_CHANCE = 0.25  # of the way from chance to 1
ACCURACY, CHANCE = "accuracy", "chance_consistency"


def without_near_chance(evidence: Evidence) -> tuple[Evidence, list[Run]]:
    """Split the evidence: the evidence without trained networks near chance, and their runs.

    A network, all of its seeds, is near chance if (accuracy - chance) / (1 - chance), the mean over
    seeds of the lower end of its interval over images, is at most a quarter. Chance is
    ``chance_consistency``: how often two of the network's answers to different images agree, which
    is at least 1 / num_classes; if it is 1, the network gives one answer to everything, and is near
    chance whatever its accuracy. Of several distributions of test images (``data.test.*``) the best
    counts: a claim may concern failures on images unlike those of training. Untrained networks and
    runs that lack either metric are kept.
    """
    networks: dict[str, dict[str, list[Run]]] = {}
    for run in evidence.runs:
        trained, tested = (block_key(run, free, run.protocols) for free in (("data.test",), ()))
        networks.setdefault(trained, {}).setdefault(tested, []).append(run)
    near = {
        run.run_id
        for tests in networks.values()
        if all(guesses([run for run in runs if run.is_trained]) for runs in tests.values())
        for runs in tests.values()
        for run in runs
    }
    weak = [run for run in evidence.runs if run.run_id in near]
    return replace(evidence, runs=[run for run in evidence.runs if run.run_id not in near]), weak


def guesses(runs: Sequence[Run]) -> bool:
    """Whether the network of these runs, its seeds, is near chance on the images of these runs.

    Unlike in :func:`without_near_chance`, untrained networks and those that are right on other
    images only count, too.
    """
    found = [share for run in runs if (share := _above_chance(run)) is not None]
    return bool(found) and math.fsum(found) / len(found) <= ABOVE_CHANCE


def _above_chance(run: Run) -> float | None:
    """Return the position of the accuracy between chance (0) and 1, None if it is unknown.

    0 for a network that gives one and the same answer to everything, whose chance is 1.
    """
    for protocol in run.protocols:
        accuracy, chance = (run.numbers.get((protocol, name)) for name in (ACCURACY, CHANCE))
        if accuracy is None or chance is None or math.isnan(chance.value):
            continue
        if chance.value >= 1:
            return 0.0
        low = accuracy.value if math.isnan(accuracy.low) else accuracy.low
        return (low - chance.value) / (1 - chance.value)
    return None
