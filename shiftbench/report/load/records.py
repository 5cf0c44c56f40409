"""The input of a report: records of runs, and jobs without a run folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

LABELS = (
    "experiment", "data", "model", "pool", "head", "padding", "augment", "train", "precision",
)  # fmt: skip
"""The labels that name a run in tables; with the seed, those of ``run.json``."""

DONE, FAILED, INTERRUPTED, DAMAGED, RUNNING = "done", "failed", "interrupted", "damaged", "running"
STOPPED = "stopped"  # displayed state of an interrupted run or job
BROKEN = (FAILED, DAMAGED)


def word_of(state: str) -> str:
    """Return the displayed name of a state: an interrupted run is stopped, it has not failed.

    >>> word_of("interrupted"), word_of("failed")
    ('stopped', 'failed')
    """
    return STOPPED if state == INTERRUPTED else state


@dataclass(frozen=True)
class RunRecord:
    """One run folder.

    Attributes:
        run_id: Name of the run.
        config_id: Hash of every setting but the seed: runs that share it are repetitions.
        folder: Path of the run folder.
        labels: Label of each group, and ``seed``; empty if ``run.json`` is damaged.
        settings: Every setting that can change the result.
        state: ``done``, ``failed``, ``interrupted`` (also killed), ``damaged`` or ``running``.
        error: Why it is not done; empty if it is.
        command: The command line as typed.
        versions: Versions of shiftbench, Python and the installed packages.
        commit: Commit of shiftbench, empty if it was not recorded.
        seconds: Duration, None if it is not done.
        time: When it reached its state, in ISO format.
        files: SHA-256 of its result files when they were written, by name.
        results: Results versions of the parts that computed it, see
            :mod:`shiftbench.runs.results_versions`.
        order: Its position among the runs of the collection.
        smoke: Whether its experiment is marked as a smoke test, whose numbers mean nothing.
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
    commit: str = ""
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
        sweep: Folder of its sweep.
        overrides: Overrides of the job, e.g. ``("pool=max", "seed=0")``.
        distinguishing: The overrides that distinguish it from other configurations of its sweep.
        state: ``waiting``, ``running``, ``failed``, ``stopped`` or ``left out``.
        error: Why it failed or stopped; empty if it did not.
        config_id: That of the runs with the same overrides but for the seed, None without any.
        order: That of the preceding run in its sweep, -1 if there is none.
    """

    sweep: Path
    overrides: tuple[str, ...]
    distinguishing: tuple[str, ...]
    state: str
    error: str = ""
    config_id: str | None = None
    order: int = -1


@dataclass(frozen=True)
class Collection:
    """Everything that a report is made from.

    Attributes:
        runs: All runs, without duplicates, in the order of their sweeps, then by their labels.
        metrics: ``results.csv``: the rows of every finished run's ``metrics.csv``.
        waiting: The jobs of the sweeps that have no run folder.
        warnings: A sentence for everything left out, and for hidden differences between runs.
        sweeps: The sweep folders that were found.
    """

    runs: list[RunRecord]
    metrics: pd.DataFrame
    waiting: list[WaitingJob]
    warnings: list[str] = field(default_factory=list)
    sweeps: list[Path] = field(default_factory=list)
    read_shifts: Callable[[], pd.DataFrame] = field(default=pd.DataFrame, repr=False)

    def done(self) -> dict[str, RunRecord]:
        """Return the finished runs by name."""
        return {run.run_id: run for run in self.runs if run.state == DONE}

    def shifts(self) -> pd.DataFrame:
        """Return the rows of every finished run's ``shifts.csv``, read on demand."""
        return self.read_shifts()
