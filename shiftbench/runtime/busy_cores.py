"""Whether other processes keep the cores of this machine busy; reads ``/proc``, without torch."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from shiftbench.errors import printable
from shiftbench.runtime.distributed import world
from shiftbench.runtime.job_slots import has_slot

log = logging.getLogger(__name__)

SECONDS = 0.08  # between two readings; the system counts CPU time in steps of 0.01 s
MOST = 300  # processes that are read, the newest ones: each takes up to 0.1 ms
# Less than half a core, or than a tenth of all cores, is the usual work of a system.
LEAST, LEAST_SHARE = 0.5, 0.1
_IDLE = (3, 4)  # columns of /proc/stat: idle, and idle while waiting for a disk
_COUNTED = 8  # the columns after these are contained in the first ones


@dataclass(frozen=True)
class Process:
    """A process: its parent, its name, and the CPU time of all its threads in seconds."""

    parent: int
    name: str
    seconds: float


@dataclass(frozen=True)
class Reading:
    """What the system has counted until now.

    Attributes:
        time: When it was read, in seconds.
        busy: CPU time of all processes on the cores that this process may use, in seconds.
        processes: The newest processes that can be seen, by number.
    """

    time: float
    busy: float
    processes: Mapping[int, Process]


@cache  # once per process: later, the other jobs of a sweep would be reported
def busy_cores(threads: int) -> str | None:
    """Return a sentence if a run with so many threads has to share its cores, otherwise None.

    It takes a tenth of a second. Jobs of the same command are not other processes. None on systems
    without ``/proc``.

    Args:
        threads: Number of threads that the run computes with.
    """
    try:
        cores = os.sched_getaffinity(0)
        before = _reading(cores)
        time.sleep(max(0.0, SECONDS - (time.monotonic() - before.time)))
        after = _reading(cores)
    except (AttributeError, OSError, ValueError, IndexError):
        return None
    root = os.getppid() if has_slot() or world().size > 1 else os.getpid()
    return sentence(before, after, len(cores), threads, root)


def warn_if_busy(threads: int) -> None:
    """Log what :func:`busy_cores` returns, for the first run of this process only."""
    if busy_cores.cache_info().currsize:
        return
    if busy := busy_cores(threads):
        log.warning("%s", busy)


def sentence(before: Reading, after: Reading, cores: int, threads: int, root: int) -> str | None:
    """Return what occupies the cores between two readings, None if enough of them are free.

    Args:
        before: The first reading.
        after: The second reading.
        cores: Number of cores that this process may use.
        threads: Number of threads that the run computes with.
        root: The process that, with its descendants, belongs to this command.

    >>> first = Reading(0.0, 10.0, {1: Process(0, "init", 5.0), 7: Process(1, "make", 3.0)})
    >>> second = Reading(1.0, 11.9, {1: Process(0, "init", 5.0), 7: Process(1, "make", 4.9)})
    >>> sentence(first, second, cores=2, threads=2, root=9)
    '2 of 2 cores are busy with other processes (make 190 %); this run will be slower'
    >>> sentence(first, second, cores=8, threads=4, root=9) is None
    True
    """
    shares = _shares(before, after)
    own = {pid for pid in shares if root in _ancestry(pid, after.processes)}
    busy = (after.busy - before.busy) / (after.time - before.time)
    others = min(cores, busy - sum(shares[pid] for pid in own))
    if others < max(LEAST, LEAST_SHARE * cores) or cores - others > threads - LEAST:
        return None
    number = max(1, round(others))
    verb = "is" if number == 1 else "are"
    named = _largest({pid: shares[pid] for pid in shares if pid not in own}, after.processes)
    return (
        f"{number} of {cores} cores {verb} busy with other processes{named}; "
        "this run will be slower"
    )


def _largest(shares: Mapping[int, float], processes: Mapping[int, Process]) -> str:
    """Return name and share of the process that uses most, "" if none that can be seen does."""
    pid = max(shares, key=shares.__getitem__, default=None)
    if pid is None or shares[pid] < LEAST_SHARE:
        return ""
    return f" ({printable(processes[pid].name, 40)} {100 * shares[pid]:.0f} %)"


def _shares(before: Reading, after: Reading) -> dict[int, float]:
    """Return how many cores each process used between two readings."""
    elapsed = after.time - before.time
    return {
        pid: (process.seconds - before.processes[pid].seconds) / elapsed
        for pid, process in after.processes.items()
        if pid in before.processes
    }


def _ancestry(pid: int, processes: Mapping[int, Process]) -> set[int]:
    """Return a process and its ancestors."""
    found: set[int] = set()
    while pid not in found:
        found.add(pid)
        pid = processes[pid].parent if pid in processes else pid
    return found


def _reading(cores: set[int]) -> Reading:
    tick = 1 / os.sysconf("SC_CLK_TCK")
    now, busy = time.monotonic(), 0
    for line in Path("/proc/stat").read_text("utf-8").splitlines():
        name, *counts = line.split()
        if name.startswith("cpu") and name[3:].isdigit() and int(name[3:]) in cores:
            counted = list(enumerate(counts[:_COUNTED]))
            busy += sum(int(count) for column, count in counted if column not in _IDLE)
    numbers = [int(one.name) for one in Path("/proc").iterdir() if one.name.isdigit()]
    read = {pid: _process(pid, tick) for pid in sorted(numbers)[-MOST:]}
    return Reading(now, busy * tick, {pid: one for pid, one in read.items() if one is not None})


def _process(pid: int, tick: float) -> Process | None:
    """Return a process, None if it has ended or must not be read."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return None
    # The name is in parentheses and may contain any character.
    name, _, rest = text.partition("(")[2].rpartition(")")
    values = rest.split()
    return Process(int(values[1]), name, (int(values[11]) + int(values[12])) * tick)
