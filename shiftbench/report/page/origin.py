"""Provenance of a page's numbers: commands, versions and machines, grouped where identical."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from shiftbench.report.load.records import DONE, Collection, RunRecord, WaitingJob, word_of
from shiftbench.runs.sweep_state import rerun_command
from shiftbench.storage.json_files import read_mapping


@dataclass(frozen=True)
class Origin:
    """The provenance that several runs share.

    Attributes:
        key: ``A``, ``B``, ...
        command: The command line as typed.
        facts: Name and value of everything else: versions, commit, machine.
        runs: Number of runs.
    """

    key: str
    command: str
    facts: tuple[tuple[str, str], ...]
    runs: int


@dataclass(frozen=True)
class Made:
    """One run: its folder, the command that reproduces it alone, and the key of its origin."""

    run_id: str
    state: str
    seed: str
    seconds: float | None
    time: str
    origin: str
    command: str


@dataclass(frozen=True)
class Unfinished:
    """A run or job without a result: its name, the reason, and the command to run it again."""

    name: str
    state: str
    reason: str
    command: str


def origins(collection: Collection) -> tuple[list[Origin], list[Made]]:
    """Return the distinct origins and all runs, in the order of the collection."""
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
    """Return the runs that are not done, then the jobs without a run."""
    runs = [
        Unfinished(run.run_id, word_of(run.state), run.error, _again(run))
        for run in collection.runs
        if run.state != DONE
    ]
    return [*runs, *(_of_job(job) for job in collection.waiting)]


def _made(run: RunRecord, letter: str) -> Made:
    seed = str(run.labels.get("seed", ""))
    return Made(run.run_id, word_of(run.state), seed, run.seconds, run.time, letter, _again(run))


def _of_job(job: WaitingJob) -> Unfinished:
    return Unfinished(" ".join(job.distinguishing or job.overrides), job.state, job.error,
                      rerun_command(job.overrides))  # fmt: skip


def _again(run: RunRecord) -> str:
    """Return the command that reproduces one run; its original command if overrides are missing."""
    try:
        return rerun_command((run.folder / "overrides").read_text("utf-8").splitlines())
    except (OSError, ValueError):
        return shlex.join(run.command)


def _facts(run: RunRecord) -> tuple[tuple[str, str], ...]:
    versions = tuple(run.versions.items())
    try:
        content = read_mapping(run.folder / "provenance.json")
    except (OSError, ValueError):
        return versions
    return (*versions, *_surroundings(content))


def _surroundings(content: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield commit, machine, device and precision, in the format of any version of shiftbench."""
    if content.get("commit"):
        yield "commit", str(content["commit"])
    machine = content.get("machine")
    for name, value in (machine if isinstance(machine, dict) else {"machine": machine}).items():
        if value:
            yield str(name), str(value)
    device = content.get("device")
    yield from ((str(n), str(v)) for n, v in (device if isinstance(device, dict) else {}).items())
    for part in ("training", "measuring"):
        if isinstance(used := content.get(part), dict):
            rounded = ", TF32" if used.get("TF32") else ""
            yield f"precision of {part}", f"{used.get('precision')}{rounded}"


def _letter(number: int) -> str:
    """Return A to Z, then A2 and so on."""
    turn, letter = divmod(number, 26)
    return chr(ord("A") + letter) + (str(turn + 1) if turn else "")
