"""From folders on disk to what a report is made from; no torch.

Whatever is there is read, whoever made it and whenever: the tables of a sweep that is still going
on, of one that lost half of its jobs, of runs copied together from several machines.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from shiftbench.report.mixed_versions import version_notes
from shiftbench.report.places import find
from shiftbench.report.reading import read_metrics, read_run, read_shifts
from shiftbench.report.records import (
    BROKEN,
    DAMAGED,
    DONE,
    LABELS,
    Collection,
    RunRecord,
    WaitingJob,
)
from shiftbench.report.waiting import jobs_without_run, run_folders
from shiftbench.runs.sweep_state import Sweep

__all__ = ["BROKEN", "LABELS", "Collection", "RunRecord", "WaitingJob", "collect"]


def collect(places: Sequence[Path]) -> Collection:
    """Read every run in ``places``.

    Args:
        places: Run folders, sweep folders, or folders with such in them, as ``outputs``. A run
            that is reached twice, or that lies in two of them, counts once.

    Returns:
        What was found. What is damaged is named in ``warnings`` and not used.

    Raises:
        ShiftbenchError: If one of the places holds neither a run nor a sweep.
    """
    found = find([Path(place).expanduser() for place in places])
    sweeps = sorted((Sweep.load(folder) for folder in found.sweeps), key=lambda one: one.started)
    swept = dict.fromkeys(folder for sweep in sweeps for folder in run_folders(sweep))
    others = _by_labels([read_run(folder) for folder in found.runs if folder not in swept])
    runs = _once([*(read_run(folder) for folder in swept), *others])
    metrics, runs = read_metrics(runs)
    runs = [replace(run, order=place) for place, run in enumerate(runs)]
    waiting = jobs_without_run(sweeps, runs, found.named)
    warnings = [f"{run.folder}: {run.error}" for run in runs if run.state == DAMAGED]
    done = [run for run in runs if run.state == DONE]
    warnings += version_notes(done)
    return Collection(runs, metrics, waiting, warnings, found.sweeps, partial(read_shifts, done))


def _by_labels(runs: list[RunRecord]) -> list[RunRecord]:
    def key(run: RunRecord) -> tuple[object, ...]:
        labels = tuple(str(run.labels.get(name, "")) for name in LABELS)
        return (*labels, run.config_id, run.seed, run.run_id)

    return sorted(runs, key=key)


def _once(runs: Sequence[RunRecord]) -> list[RunRecord]:
    """Keep one folder of every run: the first that is finished, else the first."""
    kept: dict[str, RunRecord] = {}
    for run in runs:
        if run.run_id not in kept or (run.state == DONE != kept[run.run_id].state):
            kept[run.run_id] = run  # a key that is there keeps its place
    return list(kept.values())
