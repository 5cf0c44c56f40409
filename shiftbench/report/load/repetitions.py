"""Pairing of the runs of two configurations by seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from shiftbench.report.load.read_runs import read_run
from shiftbench.report.load.records import DONE, RunRecord

RunPair = tuple[RunRecord, RunRecord]


@dataclass(frozen=True)
class Pairing:
    """Pairs of runs of A and B.

    Attributes:
        pairs: By common seed; by the seed of A if only two given runs are compared.
        alone: Seeds that only A has, and that only B has.
        why: Why only two given runs are compared, '' if configurations are.
    """

    pairs: Mapping[int, RunPair]
    alone: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())
    why: str = ""

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds of the pairs."""
        return tuple(self.pairs)


def pairing(first: RunRecord, second: RunRecord, *, only_these: bool = False) -> Pairing:
    """Return the pairs of finished runs of two configurations, seed by seed.

    Args:
        first: A finished run; the other seeds of its configuration are searched beside it.
        second: Likewise for the other configuration.
        only_these: Whether to compare only these two runs and no other seeds.
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
    """Return the finished runs of a run's configuration that lie beside it, by seed."""
    found = {run.seed: run}
    for path in sorted(run.folder.resolve().parent.glob("*/run.json")):
        other = read_run(path.parent)
        if other.config_id == run.config_id and other.state == DONE:
            found.setdefault(other.seed, other)
    return found


def _without(runs: Mapping[int, RunRecord], common: list[int]) -> tuple[int, ...]:
    return tuple(sorted(set(runs) - set(common)))
