"""Comparable runs: equal in every setting except the studied ones, seed by seed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from shiftbench.claims.evidence import Run
from shiftbench.claims.names import is_in, names_of

Arm = str
# Settings of measuring change the precision of a number, not the number that is estimated.
NEVER_COMPARED = ("seed", "measure", "shift")


class Labelled(Protocol):
    """A run as far as its pairing goes."""

    @property
    def labels(self) -> Mapping[str, Any]:
        """What it is called, group by group."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """Every setting that can change its result, flattened."""


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
            seeds = found.setdefault(block_key(run, free, protocols), {})
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


def block_key(run: Labelled, free: Sequence[str], protocols: Sequence[str]) -> str:
    """Return the key shared by runs that differ only in these groups and in the seed."""
    kept = [f"shift.{name}" for name in protocols]
    return settings_key(run, (*free, *NEVER_COMPARED), kept)


def settings_key(run: Labelled, free: Sequence[str], kept: Sequence[str] = ()) -> str:
    """Return the key shared by runs that are equal in every other setting.

    Args:
        run: One of them.
        free: Groups (``pool``) and settings (``model.depth``) that they may differ in.
        kept: Settings within these that have to be equal all the same.
    """
    shared = {
        key: value
        for key, value in run.settings.items()
        if not is_in(key, (*free, "head")) or is_in(key, kept)
    }
    if "head" not in free:
        shared["head"] = run.labels.get("head")  # a default head is not among the settings
    return json.dumps(shared, sort_keys=True, default=str)


def _named(found: Sequence[dict[int, dict[Arm, Run]]], free: Sequence[str]) -> list[Block]:
    firsts = [next(iter(next(iter(seeds.values())).values())) for seeds in found]
    labels = [{name: str(label) for name, label in run.labels.items()} for run in firsts]
    names = names_of(labels, free)
    return [Block(name, seeds) for name, seeds in zip(names, found, strict=True)]
