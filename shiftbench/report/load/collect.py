"""Loading of everything that a report is made from, from folders on disk; no torch.

Incomplete input is read as well: a sweep that is still running, a sweep with failed jobs, runs
copied together from several machines.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from shiftbench.report.load.find_runs import find
from shiftbench.report.load.missing_jobs import jobs_without_run, run_folders
from shiftbench.report.load.mixed_versions import release_notes, version_notes
from shiftbench.report.load.read_runs import read_metrics, read_run, read_shifts
from shiftbench.report.load.records import (
    BROKEN,
    DAMAGED,
    DONE,
    LABELS,
    Collection,
    RunRecord,
    WaitingJob,
)
from shiftbench.runs.sweep_state import Sweep

__all__ = ["BROKEN", "LABELS", "Collection", "RunRecord", "WaitingJob", "collect"]


def collect(folders: Sequence[Path]) -> Collection:
    """Read every run in ``folders``.

    Args:
        folders: Run folders, sweep folders, or folders that contain such folders, e.g. ``outputs``.
            A run that is found twice, or of which there are two copies, counts once.

    Returns:
        The runs and jobs. Damaged files are named in ``warnings`` and not used.

    Raises:
        ShiftbenchError: If one of the folders holds neither a run nor a sweep.
    """
    found = find([Path(folder).expanduser() for folder in folders])
    sweeps = sorted((Sweep.load(folder) for folder in found.sweeps), key=lambda one: one.started)
    swept = dict.fromkeys(folder for sweep in sweeps for folder in run_folders(sweep))
    others = _by_labels([read_run(folder) for folder in found.runs if folder not in swept])
    runs = _once([*(read_run(folder) for folder in swept), *others])
    metrics, runs = read_metrics(runs)
    runs = [replace(run, order=order) for order, run in enumerate(runs)]
    waiting = jobs_without_run(sweeps, runs, found.named)
    warnings = [f"{run.folder}: {run.error}" for run in runs if run.state == DAMAGED]
    done = [run for run in runs if run.state == DONE]
    warnings += version_notes(done) + release_notes(done)
    return Collection(runs, metrics, waiting, warnings, found.sweeps, partial(read_shifts, done))


def _by_labels(runs: list[RunRecord]) -> list[RunRecord]:
    def key(run: RunRecord) -> tuple[object, ...]:
        labels = tuple(str(run.labels.get(name, "")) for name in LABELS)
        return (*labels, run.config_id, run.seed, run.run_id)

    return sorted(runs, key=key)


def _once(runs: Sequence[RunRecord]) -> list[RunRecord]:
    """Keep one folder of every run: the first one that is finished, otherwise the first one."""
    kept: dict[str, RunRecord] = {}
    for run in runs:
        if run.run_id not in kept or (run.state == DONE != kept[run.run_id].state):
            kept[run.run_id] = run  # replacing a value keeps the position of its key
    return list(kept.values())
