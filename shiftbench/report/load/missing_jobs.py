"""Jobs of sweeps without a run folder: not started yet, or rejected before the start."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from shiftbench.report.load.find_runs import is_run
from shiftbench.report.load.records import FAILED, RunRecord, WaitingJob
from shiftbench.runs.sweep_state import Job, Sweep, identifying

Overrides = frozenset[str]


def run_folders(sweep: Sweep) -> Iterator[Path]:
    """Yield the existing run folders of a sweep, in the order of its jobs."""
    for job in sweep.jobs():
        folder = sweep.runs / job.run_id if job.run_id else None
        if folder is not None and is_run(folder):
            yield folder.resolve()


def jobs_without_run(
    sweeps: Sequence[Sweep], runs: Sequence[RunRecord], named: Sequence[Path]
) -> list[WaitingJob]:
    """Return the jobs that have no run among ``runs``, without duplicates.

    A job that was rejected for a wrong setting matters only to its own sweep: it counts if that
    sweep was ``named``, and is left out of reports on a folder of many sweeps.
    """
    known = {run.run_id: run for run in runs}
    jobs = {sweep.folder: sweep.jobs() for sweep in sweeps}
    begun = {
        identifying(job.overrides): known[job.run_id]
        for job in (job for found in jobs.values() for job in found)
        if job.run_id in known
    }
    repeated = {_but_seed(own): run.config_id for own, run in begun.items()}
    waiting: dict[Overrides, WaitingJob] = {}
    for folder, found in jobs.items():
        common = _common(found)
        before = -1
        for job in found:
            own = identifying(job.overrides)
            if own in begun:
                before = begun[own].order
            elif not job.usage or folder in named:
                config_id = repeated.get(_but_seed(own))
                waiting.setdefault(own, _waiting(folder, job, common, config_id, before))
    return list(waiting.values())


def _waiting(
    folder: Path, job: Job, common: Overrides, config_id: str | None, before: int
) -> WaitingJob:
    own = tuple(item for item in job.overrides if item not in common and not _is_seed(item))
    error = job.error or ("" if job.state != FAILED else "no reason was kept")
    return WaitingJob(folder, job.overrides, own, job.state, error, config_id, before)


def _but_seed(own: Overrides) -> Overrides:
    return frozenset(item for item in own if not _is_seed(item))


def _is_seed(override: str) -> bool:
    return override.startswith("seed=")


def _common(jobs: Sequence[Job]) -> Overrides:
    """Return the overrides that all jobs share, which distinguish none of them."""
    every = [frozenset(job.overrides) for job in jobs]
    return frozenset.intersection(*every) if len(every) > 1 else frozenset()
