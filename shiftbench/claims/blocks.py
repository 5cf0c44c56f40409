"""Runs that may be compared: equal in every setting but the studied ones, seed by seed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from shiftbench.claims.evidence import Run
from shiftbench.claims.names import is_in, names_of

Arm = str
# How a network is measured decides how sure a number is, not which number it is.
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
    """Runs that differ in nothing but the studied factor (their arm) and the seed.

    Attributes:
        name: What tells the block from the others that are compared: ``vgg · gap``.
        seeds: Seed by seed, the run of every arm; a seed that lacks one is left out.
    """

    name: str
    seeds: dict[int, dict[Arm, Run]] = field(repr=False)

    @property
    def arms(self) -> list[Arm]:
        """The arms, in the order of the runs."""
        return list(next(iter(self.seeds.values())))

    @property
    def runs(self) -> list[Run]:
        """Every run of it."""
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
        runs: From which to choose.
        arm: Which arm a run is, None for a run that is not of interest.
        free: Groups (``pool``) or settings (``model.depth``) that arms may differ in.
        protocols: Under which the arms are compared; their settings have to be equal too.
        arms: Those that a block needs; None for all that it has, two at least.
    """
    found: dict[str, dict[int, dict[Arm, Run]]] = {}
    for run in runs:
        name = arm(run)
        if name is not None and (arms is None or name in arms):
            seeds = found.setdefault(block_key(run, free, protocols), {})
            # Of two that differ in how they were measured alone, either will do.
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
    """Return what runs share that differ in these groups, and in the seed, alone."""
    kept = [f"shift.{name}" for name in protocols]
    return settings_key(run, (*free, *NEVER_COMPARED), kept)


def settings_key(run: Labelled, free: Sequence[str], kept: Sequence[str] = ()) -> str:
    """Return what runs share that are equal in all else.

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
        shared["head"] = run.labels.get("head")  # by name: a model's own is no setting
    return json.dumps(shared, sort_keys=True, default=str)


def _named(found: Sequence[dict[int, dict[Arm, Run]]], free: Sequence[str]) -> list[Block]:
    firsts = [next(iter(next(iter(seeds.values())).values())) for seeds in found]
    labels = [{name: str(label) for name, label in run.labels.items()} for run in firsts]
    names = names_of(labels, free)
    return [Block(name, seeds) for name, seeds in zip(names, found, strict=True)]
