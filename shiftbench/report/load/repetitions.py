"""Which runs two configurations are compared by: their seeds, and the partner of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from shiftbench.report.load.read_runs import read_run
from shiftbench.report.load.records import DONE, RunRecord

RunPair = tuple[RunRecord, RunRecord]


@dataclass(frozen=True)
class Pairing:
    """Runs of A and of B that belong together.

    Attributes:
        pairs: By the seed that both have; by that of A where two runs are compared as they are.
        alone: Seeds of A, and of B, that the other does not have.
        why: Why two runs are compared as they are, '' where configurations are.
    """

    pairs: Mapping[int, RunPair]
    alone: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())
    why: str = ""

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of the pairs."""
        return tuple(self.pairs)


def pairing(first: RunRecord, second: RunRecord, *, only_these: bool = False) -> Pairing:
    """Return the pairs of finished runs of two configurations, seed by seed.

    Args:
        first: A finished run; the other seeds of its configuration are looked for beside it.
        second: The same of the other configuration.
        only_these: Whether to compare these two runs and no other seeds.
    """
    if only_these:
        return Pairing({first.seed: (first, second)}, why="these two runs alone, by --runs")
    beside = first.folder.resolve().parent == second.folder.resolve().parent
    if beside and first.config_id == second.config_id and first.seed != second.seed:
        return Pairing({first.seed: (first, second)}, why="A and B are seeds of one configuration")
    ours, theirs = repetitions(first), repetitions(second)
    common = sorted(set(ours) & set(theirs))
    alone = (_without(ours, common), _without(theirs, common))
    if not common:
        return Pairing({first.seed: (first, second)}, alone, "A and B have no seed in common")
    return Pairing({seed: (ours[seed], theirs[seed]) for seed in common}, alone)


def repetitions(run: RunRecord) -> dict[int, RunRecord]:
    """Return the finished runs of a run's configuration in the folder that it lies in, by seed."""
    found = {run.seed: run}
    for path in sorted(run.folder.resolve().parent.glob("*/run.json")):
        other = read_run(path.parent)
        if other.config_id == run.config_id and other.state == DONE:
            found.setdefault(other.seed, other)
    return found


def _without(runs: Mapping[int, RunRecord], common: list[int]) -> tuple[int, ...]:
    return tuple(sorted(set(runs) - set(common)))
