"""The record of one job of a sweep, which other workers of the sweep read and write, too."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from shiftbench.errors import ShiftbenchError, UsageError
from shiftbench.runs.sweep_state import (
    DONE,
    FAILED,
    RUNNING,
    SETTLED,
    SKIPPED,
    STOPPED,
    WAITING,
    Job,
    Sweep,
)
from shiftbench.runtime.distributed import world
from shiftbench.storage.interrupts import how_stopped
from shiftbench.storage.locks import WaitsFor, always, siblings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class JobRecord:
    """One job of a sweep.

    Attributes:
        sweep: The sweep.
        overrides: The job's overrides, as this worker was given them.
    """

    sweep: Sweep
    overrides: tuple[str, ...]

    @property
    def position(self) -> str:
        """``job 3 of 12``."""
        return f"job {self.now().number + 1} of {len(self.sweep.overrides)}"

    @property
    def waits_for(self) -> WaitsFor:
        """For whose locks the job waits; for those of other workers it is postponed.

        Under torchrun it waits, since all processes of the command have to run the same jobs.
        """
        return always if world().size > 1 else siblings

    def now(self) -> Job:
        """Return the job's current state."""
        return self.sweep.job(self.overrides)

    def is_running(self) -> bool:
        """Whether a worker has begun the job and has not recorded its end."""
        return self.now().state == RUNNING

    def is_done(self) -> bool:
        """Whether a worker has completed the job since the sweep was started."""
        return self.now().state == DONE

    def skip(self, run_id: str) -> None:
        """Record that the run was finished before, unless another worker has just finished it."""
        if self.now().state not in (DONE, SKIPPED):
            self.sweep.put(self.overrides, state=SKIPPED, run_id=run_id)

    def postpone(self, run_id: str, train_id: str | None = None) -> None:
        """Record that the job waits for another process, which holds its run or its training.

        The caller holds the run's lock if the job waits for the training.
        """
        training = f"../trained/{train_id}" if train_id else None
        if train_id or self.now().state not in (RUNNING, *SETTLED):  # its worker writes the record
            self.sweep.put(self.overrides, state=WAITING, run_id=run_id, training=training)

    def fail(self, error: ShiftbenchError, run_id: str | None, seconds: float = 0.0) -> None:
        """Record and log why the job failed."""
        log.error("%s failed: %s", self.position, error)
        self.sweep.put(
            self.overrides, state=FAILED, run_id=run_id, error=str(error),
            usage=isinstance(error, UsageError), seconds=seconds,
        )  # fmt: skip

    @contextmanager
    def running(self, run_id: str) -> Iterator[None]:
        """Record the beginning and the end of the block, which computes the run; errors end here.

        The caller holds the run's lock, so that no other worker finds the job unfinished.
        """
        started = time.time()
        self.sweep.put(self.overrides, state=RUNNING, run_id=run_id)
        try:
            yield
        except KeyboardInterrupt as stop:
            self.sweep.put(self.overrides, state=STOPPED, run_id=run_id, error=how_stopped(stop))
            raise
        except ShiftbenchError as error:
            self.fail(error, run_id, time.time() - started)
            return
        self.sweep.put(self.overrides, state=DONE, run_id=run_id, seconds=time.time() - started)
