"""A sweep seen from the process that started it: its jobs, its progress, its end; no torch."""

from __future__ import annotations

import shlex
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig

from shiftbench.composing import compose_once
from shiftbench.config import as_typed
from shiftbench.errors import UsageError
from shiftbench.files import remove_leftovers
from shiftbench.placement import is_parallel
from shiftbench.report.progress import SweepDisplay
from shiftbench.sweep import DONE, FAILED, LEFT_OUT, RUNNING, SKIPPED, WAITING, Job, Sweep

LONGEST_WRITE = 60.0  # seconds


@dataclass(frozen=True)
class Conductor:
    """Begins and ends a sweep."""

    sweep: Sweep
    display: SweepDisplay

    @classmethod
    def of(cls, config: DictConfig, jobs: list[list[str]]) -> Conductor:
        """Write which jobs the sweep has and begin to show how they stand."""
        folder = Path(config.hydra.sweep.dir).expanduser()
        remove_leftovers(folder, older_than=LONGEST_WRITE)  # the same sweep may run elsewhere
        sweep = Sweep.start(folder, Path(config.out).expanduser() / "runs", jobs)
        if not is_parallel(config.hydra.launcher):
            compose_once(GlobalHydra.instance().config_loader())
        display = SweepDisplay(sweep.jobs, shown=config.progress)
        display.start()
        return cls(sweep, display)

    def end(self, launcher_error: str | None = None) -> list[Job]:
        """Write the sweep's report, say how its jobs ended and return them.

        Args:
            launcher_error: Why the launcher gave up, if it did.
        """
        self.display.stop()
        if launcher_error:
            self._bury(launcher_error)
        jobs = self.sweep.jobs()
        try:
            if any(job.run_id for job in jobs):
                from shiftbench.reporting import report_sweep

                report_sweep(self.sweep.folder)
        finally:  # whatever becomes of the report
            if launcher_error:
                print(f"the launcher stopped: {launcher_error}", file=sys.stderr)
            _tell_how_they_ended(jobs)
        return jobs

    def _bury(self, reason: str) -> None:
        """Call failed what was running when its process died: nobody else will."""
        for job in self.sweep.jobs():
            if job.state == RUNNING:
                error = f"its process ended ({reason}); the usual cause is too little memory"
                self.sweep.put(job.overrides, state=FAILED, run_id=job.run_id, error=error)


def _tell_how_they_ended(jobs: list[Job]) -> None:
    if failed := [job for job in jobs if job.state == FAILED]:
        from shiftbench.report.failures import print_failures

        print_failures([(job.number, job.error or "", rerun_command(job)) for job in failed])
    print(counts(jobs), file=sys.stderr)


def jobs_of(config: DictConfig) -> list[list[str]]:
    """Return the overrides of every job: those of Hydra's own sweeper, once per grid of a study.

    What two grids share is one job. A grid is left out where another value is given for a key that
    it does not vary: that is what this part of the study is about.
    """
    params = config.hydra.sweeper.get("params") or {}
    given = as_typed(config.hydra.overrides.task)
    # The loader knows the options that glob(*) stands for.
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    jobs: dict[frozenset[str], list[str]] = {}
    for grid in config.study.grids.values() or [{}]:
        swept = [f"{key}={value}" for key, value in {**params, **grid}.items()]
        overrides = parser.parse_overrides([*swept, *given])  # of one key, the last one counts
        if _contradicts(overrides[: len(swept)], overrides[len(swept) :]):
            continue
        [product] = _split(overrides, max_batch_size=None)
        for job in product:
            jobs.setdefault(frozenset(job), list(job))
    if not jobs:
        raise UsageError(
            "no part of this experiment is left, since each of them has another value for one of "
            "the keys that were given; leave one out, or see the grids with --cfg job"
        )
    return list(jobs.values())


def _contradicts(grid: Sequence[Override], given: Sequence[Override]) -> bool:
    """Whether another value is given for what a grid holds fixed; seeds only repeat."""
    fixed = {one.get_key_element(): _values(one) for one in grid if not one.is_sweep_override()}
    fixed.pop("seed", None)
    return any(
        not fixed[key] & _values(one) for one in given if (key := one.get_key_element()) in fixed
    )


def _values(override: Override) -> set[str]:
    if override.is_discrete_sweep():
        return set(override.sweep_string_iterator())
    return {override.get_value_element_as_str()}


_split = BasicSweeper.split_arguments


def hand_out(jobs: list[list[str]]) -> None:
    """Let Hydra's sweeper run these jobs instead of the one grid that it would span."""

    def split_arguments(*_: object, **__: object) -> list[list[list[str]]]:
        return [jobs]

    BasicSweeper.split_arguments = staticmethod(split_arguments)  # type: ignore[method-assign]


def counts(jobs: list[Job]) -> str:
    """Return ``12 jobs: 9 done, 2 done before, 1 failed``."""
    found = Counter(job.state for job in jobs)
    words = {DONE: "done", SKIPPED: "done before", FAILED: "failed", RUNNING: "stopped",
             LEFT_OUT: "left out after a failure", WAITING: "not started"}  # fmt: skip
    parts = [f"{found[state]} {text}" for state, text in words.items() if found[state]]
    return f"{len(jobs)} jobs: {', '.join(parts)}"


def rerun_command(job: Job) -> str:
    """Return the line that runs one job again, alone."""
    multirun = "-m" in sys.argv or "--multirun" in sys.argv
    # Without -m it was the yaml of an experiment that made this a sweep.
    mode = [] if multirun else ["hydra.mode=RUN"]
    return shlex.join(["shiftbench", *job.overrides, *mode])
