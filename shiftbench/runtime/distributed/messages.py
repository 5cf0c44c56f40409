"""Messages between the processes of a job, besides tensors: decisions, barriers, failures.

They are kept in torchrun's key-value store. Waiting is implemented by polling, so it may last for
hours (e.g. while the first process waits for a lock), can be ended by Ctrl-C, and ends with the
reason of a failure in another process.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from shiftbench.errors import ShiftbenchError, UsageError
from shiftbench.runtime.distributed.env import world

LOOK_EVERY = 0.02  # seconds
GRACE = 30.0  # seconds for a failure to be acknowledged everywhere


@dataclass(frozen=True)
class Failure:
    """The failure of a process.

    Attributes:
        rank: Rank of the process.
        reason: The reason in one sentence.
        usage: Whether a wrong setting was the cause.
        traceback: The traceback, empty if the sentence is sufficient.
    """

    rank: int
    reason: str
    usage: bool
    traceback: str = ""

    def error(self) -> ShiftbenchError:
        """Return the failure as an exception."""
        return (UsageError if self.usage else ShiftbenchError)(self.reason)


class Board:
    """The messages of one job.

    Args:
        job: Its number; the same in every process.
    """

    def __init__(self, job: int) -> None:
        self.store = PrefixStore(f"shiftbench/{job}", _store())
        self.world = world()
        self.met = 0

    def write(self, key: str, value: Any) -> None:
        """Write a plain value under ``key``."""
        self.store.set(key, json.dumps(value))

    def read(self, key: str) -> Any:
        """Return the value under ``key``; wait until it is written.

        Raises:
            ShiftbenchError: If a process has failed, with its reason.
        """
        self._wait(lambda: self.store.check([key]))
        return json.loads(self.store.get(key))

    def meet(self) -> None:
        """Wait until every process has reached this call.

        Raises:
            ShiftbenchError: If a process has failed, with its reason.
        """
        self.met += 1
        key = f"meeting/{self.met}"
        self.store.add(key, 1)
        self._wait(lambda: self.store.add(key, 0) == self.world.size)

    def check(self) -> None:
        """Raise the failure of another process, if there is one."""
        if failure := self.failure():
            raise failure.error()

    def failure(self) -> Failure | None:
        """Return the first failure of the job."""
        if not self.store.check(["failure"]):
            return None
        return Failure(**json.loads(self.store.get("failure")))

    def report(self, failure: Failure) -> Failure:
        """Write this process's failure and return the first one of the job, this or an earlier."""
        text = json.dumps(vars(failure))
        return Failure(**json.loads(self.store.compare_set("failure", "", text)))

    def all_acknowledged(self) -> bool:
        """Acknowledge the failure; return whether every process does so within ``GRACE``."""
        self.write(f"acknowledged/{self.world.rank}", True)
        until = time.monotonic() + GRACE
        while not all(self.has_acknowledged(rank) for rank in range(self.world.size)):
            if time.monotonic() > until:
                return False
            time.sleep(LOOK_EVERY)
        return True

    def has_acknowledged(self, rank: int) -> bool:
        """Whether the process of this rank has acknowledged the failure."""
        return self.store.check([f"acknowledged/{rank}"])

    def _wait(self, happened: Callable[[], bool]) -> None:
        while not happened():
            self.check()
            time.sleep(LOOK_EVERY)


@cache  # one connection for all jobs
def _store() -> Store:
    store, _, _ = next(rendezvous("env://"))
    return store  # type: ignore[no-any-return]
