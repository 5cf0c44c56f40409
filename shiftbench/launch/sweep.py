"""Control of a sweep by the process that starts it: jobs, progress, report; without torch."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig, read_write

from shiftbench.errors import UsageError
from shiftbench.launch.job import setup_logging
from shiftbench.launch.rounds import postponed_jobs
from shiftbench.launch.session import Jobs
from shiftbench.launch.workers import join, shares
from shiftbench.report.load.records import INTERRUPTED
from shiftbench.report.progress import SweepDisplay
from shiftbench.runs.run_state import close_status
from shiftbench.runs.sweep_state import (
    DONE,
    FAILED,
    LEFT_OUT,
    RUNNING,
    SKIPPED,
    STOPPED,
    WAITING,
    Job,
    Sweep,
    identifying,
    rerun_command,
)
from shiftbench.runtime.distributed import world
from shiftbench.runtime.job_slots import explain_jobs_at_once, is_parallel, jobs_at_once
from shiftbench.settings.hydra_patches import Override, compose_jobs_once, parse_overrides, product
from shiftbench.settings.schema import as_typed, check_scale
from shiftbench.storage.atomic import remove_leftovers
from shiftbench.storage.interrupts import children_die_first, how_stopped
from shiftbench.storage.leases import worker_name

LONGEST_WRITE = 60.0  # seconds
LONGEST_END = 10.0  # seconds that a process takes to exit


@dataclass(frozen=True)
class SweepController:
    """Starts and ends a sweep."""

    sweep: Sweep
    display: SweepDisplay
    jobs: Jobs
    membership: ExitStack

    @classmethod
    def of(cls, config: DictConfig, jobs: Jobs) -> SweepController:
        """Write the list of the sweep's jobs and start the progress display."""
        folder = Path(config.hydra.sweep.dir).expanduser()
        remove_leftovers(folder, older_than=LONGEST_WRITE)  # another process may run the same sweep
        sweep, membership = join(folder, Path(config.out).expanduser() / "runs", jobs)
        if is_parallel(config.hydra.launcher):
            membership.enter_context(children_die_first())
        else:
            compose_jobs_once()
        display = SweepDisplay(sweep.jobs, shown=config.progress)
        display.start()
        return cls(sweep, display, jobs, membership)

    def postponed(self) -> Jobs:
        """Return jobs that another process had and that are to be tried again; may wait."""
        if world().size > 1:  # its processes have to run the same jobs, so none was postponed
            return []
        setup_logging(beside_others=True)  # for launchers whose jobs run in other processes
        exact = {tuple(job): job for job in self.jobs}
        # A worker that joined may have the jobs in another order, or with another device.
        own = {identifying(job): job for job in self.jobs}
        return [
            exact.get(job.overrides) or own[identifying(job.overrides)]
            for job in postponed_jobs(self.sweep)
        ]

    def leave(self) -> None:
        """Stop drawing, and no longer count as a worker of the sweep."""
        self.display.stop()
        self.membership.close()

    def end(
        self, launcher_error: str | None = None, stopped: KeyboardInterrupt | None = None
    ) -> list[Job]:
        """Write the sweep's report, log the outcome of its jobs and return them.

        Args:
            launcher_error: Error message of the launcher, if it failed.
            stopped: The interrupt that stopped the sweep, if any.
        """
        self.leave()
        if launcher_error:
            error = f"its process ended ({launcher_error}); the usual cause is too little memory"
            self._close_ended(FAILED, error)
        if stopped:
            self._close_ended(STOPPED, how_stopped(stopped))
        jobs = self.sweep.jobs()
        try:
            if any(job.run_id for job in jobs):
                self._report(tables_only=stopped is not None)
        finally:  # even if the report fails
            if launcher_error:
                print(f"the launcher stopped: {launcher_error}", file=sys.stderr)
            _print_outcome(jobs)
        return jobs

    def _report(self, tables_only: bool) -> None:
        from shiftbench.report.write import report_sweep, update_tables

        if tables_only:  # after Ctrl-C, figures would take too long
            update_tables(self.sweep.folder)
            print(f"shiftbench report {self.sweep.folder} writes the page", file=sys.stderr)
        else:
            report_sweep(self.sweep.folder)

    def _close_ended(self, state: str, reason: str) -> None:
        """Record the end of jobs whose process the launcher ended, since it could not do so itself.

        Jobs that still hold their run's lock continue, e.g. on a cluster; those of other workers of
        the sweep are theirs.
        """
        deadline = time.monotonic() + LONGEST_END
        for job in self.sweep.jobs():
            if job.state != RUNNING or job.worker != worker_name():
                continue
            while (alive := self.sweep.is_worked_on(job)) and time.monotonic() < deadline:
                time.sleep(0.1)
            if not alive:
                self._close(job, state, reason)

    def _close(self, job: Job, state: str, reason: str) -> None:
        """Record the outcome of a job and of its run on behalf of a process that has ended."""
        self.sweep.put(job.overrides, state=state, run_id=job.run_id, error=reason)
        if job.run_id:
            ended = INTERRUPTED if state == STOPPED else FAILED
            close_status(self.sweep.runs / job.run_id, ended, reason)


def _print_outcome(jobs: list[Job]) -> None:
    if failed := [job for job in jobs if job.state == FAILED]:
        from shiftbench.report.tables.failure_table import print_failures

        print_failures(
            [(job.number, job.error or "", rerun_command(job.overrides)) for job in failed]
        )
    print(counts(jobs), file=sys.stderr)
    if who := shares(jobs):
        print(who, file=sys.stderr)


def limit_parallel_jobs(config: DictConfig) -> None:
    """Replace a negative ``n_jobs`` by a number that fits on the GPUs, and say so.

    Raises:
        UsageError: If it is 0.
    """
    launcher = config.hydra.launcher
    if launcher.get("n_jobs") == 0:
        raise UsageError(
            "hydra.launcher.n_jobs=0 is not a number of jobs; give 1 or more, or -1 for all cores"
        )
    if limit := explain_jobs_at_once(launcher, config.device):
        with read_write(launcher):
            launcher.n_jobs = jobs_at_once(launcher, config.device)
        print(limit, file=sys.stderr)


def jobs_of(config: DictConfig) -> Jobs:
    """Return the overrides of every job: those of Hydra's sweeper, for each grid of a study.

    A combination that occurs in two grids is one job. Values on the command line restrict the
    grids, see :func:`_narrowed`.

    Raises:
        UsageError: If the study has no such ``scale``, or no grid remains.
    """
    check_scale(config)
    params = config.hydra.sweeper.get("params") or {}
    given = parse_overrides(as_typed(config.hydra.overrides.task))
    grids = [
        parse_overrides([f"{key}={value}" for key, value in {**params, **grid}.items()])
        for grid in config.study.grids.values() or [{}]
    ]
    jobs: dict[frozenset[str], list[str]] = {}
    for grid in grids:
        narrowed = _narrowed(grid, given, grids)
        if narrowed is None:
            continue
        for job in product(narrowed):
            jobs.setdefault(frozenset(job), job)
    if not jobs:
        raise UsageError(
            "no part of this experiment is left, since each of them has another value for one of "
            "the keys that were given; leave one out, or see the grids with --cfg job"
        )
    return list(jobs.values())


def _narrowed(
    grid: Sequence[Override], given: Sequence[Override], grids: Sequence[Sequence[Override]]
) -> list[str] | None:
    """Return a grid's overrides restricted by those on the command line, None if nothing remains.

    Of the values that are given for one of its keys, a grid keeps those that it has. A key that the
    grid varies also takes values that no grid of the study has, e.g. a user's own pool; a key that
    it holds fixed does not, since this value defines that part of the study. Seeds only repeat a
    configuration, so those that are given replace the grid's.
    """
    wanted = {one.get_key_element(): one for one in given}  # the last one of a key counts
    found = {one.get_key_element(): str(one.input_line) for one in grid}
    for one in grid:
        key = one.get_key_element()
        if key not in wanted or key == "seed":
            continue
        elsewhere = {value for other in grids for value in _values_of(key, other)}
        own = _values(one)
        values = [
            value
            for value in _values(wanted.pop(key))
            if value in own or (one.is_sweep_override() and value not in elsewhere)
        ]
        if not values:
            return None
        found[key] = f"{key}={','.join(values)}"
    return list({**found, **{key: str(one.input_line) for key, one in wanted.items()}}.values())


def _values_of(key: str, grid: Sequence[Override]) -> list[str]:
    return [value for one in grid if one.get_key_element() == key for value in _values(one)]


def _values(override: Override) -> list[str]:
    if override.is_discrete_sweep():
        return list(override.sweep_string_iterator())
    return [override.get_value_element_as_str()]


def counts(jobs: list[Job]) -> str:
    """Return ``12 jobs: 9 done, 2 done before, 1 failed``."""
    found = Counter(job.state for job in jobs)
    words = {DONE: "done", SKIPPED: "done before", FAILED: "failed", STOPPED: "stopped",
             RUNNING: "still running", LEFT_OUT: "left out after a failure",
             WAITING: "not started"}  # fmt: skip
    parts = [f"{found[state]} {text}" for state, text in words.items() if found[state]]
    return f"{len(jobs)} jobs: {', '.join(parts)}"
