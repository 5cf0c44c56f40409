"""What one command knows from its first line to its exit code; no torch.

Hydra makes the callback and calls the job by itself, with nothing but a configuration. Both ask
:func:`current` for the session; everything further in is handed it, or the part that it needs.
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
    from shiftbench.runtime.job_slots import Place


@dataclass
class Throttle:
    """Limits some repeated work to a share of the time.

    Attributes:
        share: How much of the time it may take, 0 to 1.
        ended: When it was last done, in seconds of the monotonic clock.
        took: How long that took, in seconds.
    """

    share: float
    ended: float = 0.0
    took: float = 0.0

    def is_due(self) -> bool:
        """Whether the work would stay within its share if it took as long as the last time."""
        return (time.monotonic() - self.ended) * self.share >= self.took

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Note how long the block takes."""
        started = time.monotonic()
        yield
        self.ended = time.monotonic()
        self.took = self.ended - started


@dataclass
class Session:
    """The state of one command; in a launcher's process, of the jobs that it runs.

    Attributes:
        started: When it began, in seconds since the epoch.
        jobs: Overrides of the sweep's jobs, in order; None where there is no sweep, or before.
        controller: The sweep that this process began and has to end.
        created: Folders that were not there before the sweep was begun.
        refusal: Why the sweep could not be begun. What a callback raises, Hydra turns into a
            warning.
        failures: Of a single run. A job that raised would make Hydra print lines of its own.
        shared_jobs: What several processes of one command do together.
        place: This process's share of the machine, where jobs run side by side.
        datasets: The data set of the last job: the jobs of a sweep mostly share it.
        tables: When the tables of a running sweep were written.
    """

    started: float = field(default_factory=time.time)
    jobs: list[list[str]] | None = None
    controller: SweepController | None = None
    created: Fresh | None = None
    refusal: UsageError | None = None
    failures: list[ShiftbenchError] = field(default_factory=list)
    shared_jobs: SharedJobs = field(default_factory=SharedJobs)
    place: Place | None = None
    datasets: KeepLast[Any] = field(default_factory=KeepLast)
    tables: Throttle = field(default_factory=lambda: Throttle(share=0.05))


_current: ContextVar[Session] = ContextVar("shiftbench_session")


def current() -> Session:
    """Return the session of this command; a launcher's process gets one of its own."""
    try:
        return _current.get()
    except LookupError:
        session = Session()
        _current.set(session)
        return session


@contextmanager
def opened() -> Iterator[Session]:
    """Yield a new session, the current one while the block runs."""
    session = Session()
    token = _current.set(session)
    try:
        yield session
    finally:
        _current.reset(token)
