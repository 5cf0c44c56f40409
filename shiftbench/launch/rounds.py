"""The rounds of a sweep: its jobs, then those that other workers had when it was their turn."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from shiftbench.launch.session import Jobs
from shiftbench.runs.sweep_state import RUNNING, SETTLED, Job, Sweep

log = logging.getLogger(__name__)

LOOK_EVERY = 1.0  # seconds between two looks at the jobs of other workers
PAUSE = 0.2  # seconds between rounds, in case other workers take the same jobs at the same time


class Rounds(list[Jobs]):
    """Batches of jobs as Hydra's sweeper runs them: one at first, more as they become known.

    Hydra compares their number with those that it has run whenever a batch has ended.

    Args:
        jobs: The first batch.
        postponed: Returns the next batch, empty if there is none.
    """

    def __init__(self, jobs: Jobs, postponed: Callable[[], Jobs]) -> None:
        super().__init__([jobs])
        self._postponed = postponed
        self._begun = 0

    def __getitem__(self, index: Any) -> Any:
        self._begun = max(self._begun, index + 1)
        return super().__getitem__(index)

    def __len__(self) -> int:
        if self._begun == super().__len__() and (more := self._postponed()):
            self.append(more)
        return super().__len__()


def postponed_jobs(sweep: Sweep) -> list[Job]:
    """Return jobs that can be tried again, as no other process works on them any more.

    While there are only jobs on which others work, wait; return none when all have ended. A job is
    released if its process finished it, stopped, died, or trained the network that it waits for.
    """
    announced = False
    while left := [job for job in sweep.jobs() if job.state not in SETTLED and job.time]:
        if free := [job for job in left if not sweep.is_worked_on(job)]:
            time.sleep(PAUSE)
            return free
        if not announced:
            log.info("waiting for %s", _by_worker(left))
            announced = True
        time.sleep(LOOK_EVERY)
    return []


def _by_worker(jobs: list[Job]) -> str:
    """Return ``2 jobs of other processes (node1-4711, node2-815)``."""
    workers = sorted({job.worker for job in jobs if job.state == RUNNING})
    names = f" ({', '.join(workers)})" if workers else ""
    return f"{len(jobs)} {'job' if len(jobs) == 1 else 'jobs'} of other processes{names}"
