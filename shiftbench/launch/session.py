"""The state of one command, from its start to its exit code; without torch.

Hydra creates the callback and calls the job with a configuration only. Both obtain the session from
:func:`current`; functions that they call receive it, or a part of it, as an argument.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from shiftbench.errors import ShiftbenchError, UsageError
from shiftbench.runtime.distributed import SharedJobs
from shiftbench.runtime.keep_last import KeepLast

if TYPE_CHECKING:
    from shiftbench.launch.discard import Fresh
    from shiftbench.launch.sweep import SweepController
    from shiftbench.runtime.job_slots import Slot


@dataclass
class Throttle:
    """Limits repeated work to a share of the elapsed time.

    Attributes:
        share: Share of the time that the work may take, 0 to 1.
        ended: End of the last execution, in seconds of the monotonic clock.
        took: Duration of the last execution in seconds.
    """

    share: float
    ended: float = 0.0
    took: float = 0.0

    def is_due(self) -> bool:
        """Whether the work would stay within its share if it took as long as last time."""
        return (time.monotonic() - self.ended) * self.share >= self.took

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Record the duration of the block."""
        started = time.monotonic()
        yield
        self.ended = time.monotonic()
        self.took = self.ended - started


Jobs = list[list[str]]  # the overrides of each


@dataclass
class Session:
    """The state of one command; in a process of a launcher, that of the jobs that it runs.

    Attributes:
        started: Start time in seconds since the epoch.
        jobs: Overrides of the sweep's jobs, in order; None without a sweep, or before it starts.
        controller: The sweep that this process started and has to end.
        created: Folders that did not exist before the sweep was started.
        refusal: Why the sweep could not be started; kept here, as Hydra turns exceptions of a
            callback into warnings.
        failures: Those of a single run; kept here, as Hydra prints lines of its own if a job raises
            an exception.
        shared_jobs: Jobs that several processes of one command compute together.
        slot: This process's share of the machine if jobs run in parallel.
        datasets: The data set of the last job, as most jobs of a sweep share it.
        tables: Limits how often the tables of a running sweep are written.
    """

    started: float = field(default_factory=time.time)
    jobs: Jobs | None = None
    controller: SweepController | None = None
    created: Fresh | None = None
    refusal: UsageError | None = None
    failures: list[ShiftbenchError] = field(default_factory=list)
    shared_jobs: SharedJobs = field(default_factory=SharedJobs)
    slot: Slot | None = None
    datasets: KeepLast[Any] = field(default_factory=KeepLast)
    tables: Throttle = field(default_factory=lambda: Throttle(share=0.05))

    def rounds(self) -> list[Jobs] | None:
        """Return the batches of jobs that Hydra runs, None without a sweep."""
        from shiftbench.launch.rounds import Rounds

        if self.jobs is None:
            return None
        return Rounds(self.jobs, lambda: self.controller.postponed() if self.controller else [])


_current: ContextVar[Session] = ContextVar("shiftbench_session")


def current() -> Session:
    """Return the session of this command; a process of a launcher has its own session."""
    try:
        return _current.get()
    except LookupError:
        session = Session()
        _current.set(session)
        return session


@contextmanager
def opened() -> Iterator[Session]:
    """Yield a new session, which is the current one while the block runs."""
    session = Session()
    token = _current.set(session)
    try:
        yield session
    finally:
        _current.reset(token)
