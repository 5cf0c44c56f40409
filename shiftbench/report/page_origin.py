"""How the numbers of a page were made: commands, versions, machines; alike ones told once."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shiftbench.report.records import DONE, Collection, RunRecord, WaitingJob, word_of


@dataclass(frozen=True)
class Origin:
    """What several runs have in common.

    Attributes:
        key: ``A``, ``B``, ...
        command: What was typed.
        facts: Name and value of everything else: versions, commit, machine.
        runs: How many.
    """

    key: str
    command: str
    facts: tuple[tuple[str, str], ...]
    runs: int


@dataclass(frozen=True)
class Made:
    """One run: its folder, the line that runs it alone, and the origin it shares."""

    run_id: str
    state: str
    seed: str
    seconds: float | None
    time: str
    origin: str
    command: str


@dataclass(frozen=True)
class Unfinished:
    """A run or job without a result: what it is, why, and what to type."""

    name: str
    state: str
    reason: str
    command: str


def origins(collection: Collection) -> tuple[list[Origin], list[Made]]:
    """Return what runs share and every run, in the order of the collection."""
    keys: dict[tuple[str, tuple[tuple[str, str], ...]], list[RunRecord]] = {}
    for run in collection.runs:
        keys.setdefault((shlex.join(run.command), _facts(run)), []).append(run)
    shared: list[Origin] = []
    letter_of: dict[str, str] = {}
    for number, ((command, facts), runs) in enumerate(keys.items()):
        letter = _letter(number)
        shared.append(Origin(letter, command, facts, len(runs)))
        letter_of |= {run.run_id: letter for run in runs}
    return shared, [_made(run, letter_of[run.run_id]) for run in collection.runs]


def unfinished(collection: Collection) -> list[Unfinished]:
    """Return the runs that are not done, then the jobs that never became runs."""
    runs = [
        Unfinished(
            run.run_id, word_of(run.state), run.error, alone(_overrides(run.folder), run.command)
        )
        for run in collection.runs
        if run.state != DONE
    ]
    return [*runs, *(_of_job(job) for job in collection.waiting)]


def alone(overrides: Sequence[str] | None, command: Sequence[str] = ()) -> str:
    """Return the line that runs one run of a sweep by itself.

    >>> alone(["pool=max", "shift=[circular,crop]"])
    "shiftbench pool=max 'shift=[circular,crop]'"
    """
    if overrides is None:
        return shlex.join(command)
    # The yaml of an experiment may ask for a sweep of its own.
    mode = ["hydra.mode=RUN"] if any(o.startswith("experiment=") for o in overrides) else []
    return shlex.join(["shiftbench", *overrides, *mode])


def _made(run: RunRecord, letter: str) -> Made:
    seed = str(run.labels.get("seed", ""))
    command = alone(_overrides(run.folder), run.command)
    return Made(run.run_id, word_of(run.state), seed, run.seconds, run.time, letter, command)


def _of_job(job: WaitingJob) -> Unfinished:
    return Unfinished(" ".join(job.told or job.overrides), job.state, job.error,
                      alone(job.overrides))  # fmt: skip


def _overrides(folder: Path) -> list[str] | None:
    """Return what a run was given, None where its folder does not say."""
    try:
        return (folder / "overrides").read_text("utf-8").splitlines()
    except (OSError, ValueError):
        return None


def _facts(run: RunRecord) -> tuple[tuple[str, str], ...]:
    versions = tuple(run.versions.items())
    try:
        content = json.loads((run.folder / "provenance.json").read_text("utf-8"))
    except (OSError, ValueError):
        return versions
    return (*versions, *_surroundings(content)) if isinstance(content, dict) else versions


def _surroundings(content: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield commit and machine, flattened, whatever a version of shiftbench wrote there."""
    if content.get("commit"):
        yield "commit", str(content["commit"])
    machine = content.get("machine")
    for name, value in (machine if isinstance(machine, dict) else {"machine": machine}).items():
        if value:
            yield str(name), str(value)


def _letter(number: int) -> str:
    """Return A to Z, then A2 and so on."""
    turn, place = divmod(number, 26)
    return chr(ord("A") + place) + (str(turn + 1) if turn else "")
