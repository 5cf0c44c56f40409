"""Comparable runs: equal in every setting except the studied ones, seed by seed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from shiftbench.claims.evidence import Run
from shiftbench.claims.names import is_in, names_of

Arm = str
# Settings of measuring change the precision of a number, not the number that is estimated.
NEVER_COMPARED = ("seed", "measure", "shift", "head")


@dataclass(frozen=True)
class Block:
    """Runs that differ only in the studied factor (their arm) and the seed.

    Attributes:
        name: Distinguishes the block from the others that are compared: ``vgg · gap``.
        seeds: By seed, the run of every arm; seeds without one of them are left out.
    """

    name: str
    seeds: dict[int, dict[Arm, Run]] = field(repr=False)

    @property
    def arms(self) -> list[Arm]:
        """The arms, in the order of the runs."""
        return list(next(iter(self.seeds.values())))

    @property
    def runs(self) -> list[Run]:
        """All runs of the block."""
        return [run for arms in self.seeds.values() for run in arms.values()]


def blocks(
    runs: Iterable[Run],
    arm: Callable[[Run], Arm | None],
    *,
    free: Sequence[str] = (),
    protocols: Sequence[str] = (),
    arms: Sequence[Arm] | None = None,
) -> list[Block]:
    """Return the blocks that have every arm for at least one seed.

    Args:
        runs: The runs to choose from.
        arm: Returns the arm of a run, None for a run to be ignored.
        free: Groups (``pool``) or settings (``model.depth``) that arms may differ in.
        protocols: The protocols that are compared; their settings must be equal, too.
        arms: The arms that a block must have; None for all that it has, at least two.
    """
    found: dict[str, dict[int, dict[Arm, Run]]] = {}
    for run in runs:
        name = arm(run)
        if name is not None and (arms is None or name in arms):
            seeds = found.setdefault(settings_key(run, free, protocols), {})
            # Of two runs that differ only in settings of measuring, the first is used.
            seeds.setdefault(run.seed, {}).setdefault(name, run)
    kept = [whole for seeds in found.values() if (whole := _whole(seeds, arms))]
    return _named(kept, free)


def single(runs: Iterable[Run], protocols: Sequence[str] = ()) -> list[Block]:
    """Return a block for every configuration, its one arm named ``""``."""
    return blocks(runs, lambda run: "", protocols=protocols, arms=("",))


def _whole(
    seeds: dict[int, dict[Arm, Run]], arms: Sequence[Arm] | None
) -> dict[int, dict[Arm, Run]]:
    needed = set(arms) if arms is not None else {name for one in seeds.values() for name in one}
    if arms is None and len(needed) < 2:
        return {}
    return {seed: seeds[seed] for seed in sorted(seeds) if needed <= set(seeds[seed])}


def settings_key(run: Run, free: Sequence[str], protocols: Sequence[str]) -> str:
    """Return the key shared by runs that differ only in these groups and in the seed."""
    shared = {
        key: value
        for key, value in run.settings.items()
        if not is_in(key, (*free, *NEVER_COMPARED))
        or is_in(key, [f"shift.{name}" for name in protocols])
    }
    if "head" not in free:
        shared["head"] = run.labels.get("head")  # a default head is not among the settings
    return json.dumps(shared, sort_keys=True, default=str)


def _named(found: Sequence[dict[int, dict[Arm, Run]]], free: Sequence[str]) -> list[Block]:
    firsts = [next(iter(next(iter(seeds.values())).values())) for seeds in found]
    labels = [{name: str(label) for name, label in run.labels.items()} for run in firsts]
    names = names_of(labels, free)
    return [Block(name, seeds) for name, seeds in zip(names, found, strict=True)]
