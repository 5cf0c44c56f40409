"""What a report is made from: runs as their folders tell them, and jobs that have none yet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

LABELS = (
    "experiment", "data", "model", "pool", "head", "padding", "augment", "train", "precision",
)  # fmt: skip
"""What a run is called in tables; with the seed, the labels of ``run.json``."""

DONE, FAILED, INTERRUPTED, DAMAGED, RUNNING = "done", "failed", "interrupted", "damaged", "running"
STOPPED = "stopped"  # what an interrupted run, or the job that it is of, is called
BROKEN = (FAILED, DAMAGED)


def word_of(state: str) -> str:
    """Return what readers are told of a state: nothing failed where somebody pressed Ctrl-C.

    >>> word_of("interrupted"), word_of("failed")
    ('stopped', 'failed')
    """
    return STOPPED if state == INTERRUPTED else state


@dataclass(frozen=True)
class RunRecord:
    """One run folder.

    Attributes:
        run_id: The run's name.
        config_id: Hash of every setting but the seed: runs that share it are repetitions.
        folder: Where it is.
        labels: Group by group, ``seed`` among them; empty where ``run.json`` is damaged.
        settings: Every setting that can change the result.
        state: ``done``, ``failed``, ``interrupted`` (killed runs too), ``damaged`` or ``running``.
        error: Why it is not done; empty where it is.
        command: What was typed.
        versions: Of shiftbench, Python and the packages it was made with.
        seconds: How long it took, None where it is not done.
        time: When it came to its state, in ISO format.
        files: SHA-256 of its result files as they were written, by name.
        results: Results versions of the parts that made it, see
            :mod:`shiftbench.runs.results_versions`.
        order: Its place among the runs of the collection.
        smoke: Whether its experiment says that it shows that commands work, and nothing else.
    """

    run_id: str
    config_id: str
    folder: Path
    labels: dict[str, Any]
    settings: dict[str, Any]
    state: str
    error: str = ""
    command: tuple[str, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    seconds: float | None = None
    time: str = ""
    files: dict[str, str] = field(default_factory=dict, repr=False)
    results: dict[str, int] = field(default_factory=dict, repr=False)
    order: int = 0
    smoke: bool = False

    @property
    def seed(self) -> int:
        """The seed, -1 where ``run.json`` is damaged."""
        return int(self.labels.get("seed", -1))


@dataclass(frozen=True)
class WaitingJob:
    """A job of a sweep that has no run folder.

    Attributes:
        sweep: Its sweep's folder.
        overrides: What it was given, ``("pool=max", "seed=0")``.
        told: Those that tell it from the other configurations of its sweep.
        state: ``waiting``, ``running``, ``failed``, ``stopped`` or ``left out``.
        error: Why it failed or stopped; empty where it did not.
        config_id: Of the runs that were given the same but for the seed, None where there is none.
        order: That of the run before it in its sweep, -1 where there is none.
    """

    sweep: Path
    overrides: tuple[str, ...]
    told: tuple[str, ...]
    state: str
    error: str = ""
    config_id: str | None = None
    order: int = -1


@dataclass(frozen=True)
class Collection:
    """Everything that a report is made from.

    Attributes:
        runs: Every run, once; in the order of the sweeps they are of, then by their labels.
        metrics: ``results.csv``: the rows of every finished run's ``metrics.csv``.
        waiting: The jobs of the sweeps that have no run folder.
        warnings: What was left out, and what makes runs differ unseen, a sentence each.
        sweeps: The sweep folders that were found.
    """

    runs: list[RunRecord]
    metrics: pd.DataFrame
    waiting: list[WaitingJob]
    warnings: list[str] = field(default_factory=list)
    sweeps: list[Path] = field(default_factory=list)
    read_shifts: Callable[[], pd.DataFrame] = field(default=pd.DataFrame, repr=False)

    def done(self) -> dict[str, RunRecord]:
        """Return the finished runs by their names."""
        return {run.run_id: run for run in self.runs if run.state == DONE}

    def shifts(self) -> pd.DataFrame:
        """Return the rows of every finished run's ``shifts.csv``; read when asked for."""
        return self.read_shifts()
