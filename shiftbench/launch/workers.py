"""The workers of a sweep: commands that run its jobs at the same time, on one or many machines."""

from __future__ import annotations

import shutil
import uuid
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from shiftbench.errors import ShiftbenchError
from shiftbench.runs.sweep_state import DONE, Job, Sweep
from shiftbench.runtime.job_slots import SLOTS
from shiftbench.storage.leases import lease_path, worker_name
from shiftbench.storage.locks import BusyError, exclusive, is_locked, nobody


def join(folder: Path, runs: Path, jobs: Sequence[Sequence[str]]) -> tuple[Sweep, ExitStack]:
    """Start the sweep, or join it if other commands are running the same jobs.

    Returns:
        The sweep, and the membership of this command, which ends when it is closed.

    Raises:
        OSError: If its folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with exclusive(folder / ".start.lock"):
        sweep = _running(folder, jobs) or Sweep.start(folder, runs, jobs)
        # Never the file of another command: two containers may have equal names.
        own = folder / "workers" / f"{worker_name()}-{uuid.uuid4().hex[:8]}.lock"
        membership = ExitStack()
        membership.callback(_leave, folder, own)
        membership.enter_context(exclusive(own))
    return sweep, membership


def _running(folder: Path, jobs: Sequence[Sequence[str]]) -> Sweep | None:
    """Return the sweep if another command runs it; forget commands that have ended."""
    alive = _has_workers(folder)
    with suppress(ShiftbenchError):  # sweep.json is damaged: start again
        if alive and (sweep := Sweep.load(folder)).is_for(jobs):
            return sweep
    return None


def _has_workers(folder: Path) -> bool:
    """Whether a command runs the sweep; the files of killed ones are removed.

    The caller holds the lock of the start, under which every worker locks its file.
    """
    files = list((folder / "workers").glob("*.lock"))
    dead = [path for path in files if not is_locked(path)]
    for path in dead:
        _remove(path)
    return len(dead) < len(files)


def _leave(folder: Path, own: Path) -> None:
    """Remove the file of this command; the last one also removes what marks slots of jobs."""
    _remove(own)
    # A command that is just starting, for which nobody waits here, is not the last one.
    with suppress(BusyError), exclusive(folder / ".start.lock", waits_for=nobody):
        if not _has_workers(folder):
            shutil.rmtree(folder / SLOTS, ignore_errors=True)


def _remove(lock: Path) -> None:
    for path in (lock, lease_path(lock)):
        with suppress(OSError):
            path.unlink()
    with suppress(OSError):  # others are there
        lock.parent.rmdir()


def shares(jobs: Sequence[Job]) -> str:
    """Return how many jobs each worker did, ``node1-4711 did 2, node2-815 did 1``; "" if one did.

    The own ones are first, as ``this process``.
    """
    count = Counter(job.worker for job in jobs if job.state == DONE)
    own = count.pop(worker_name(), 0)
    if not count:
        return ""
    return ", ".join(
        [f"this process did {own}", *(f"{n} did {k}" for n, k in sorted(count.items()))]
    )
