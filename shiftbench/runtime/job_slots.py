"""Jobs side by side: how many threads one may use, and which accelerator; no torch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

# Locks of this process; the system gives them back when it ends, however it ends.
_held: list[Any] = []


# What the user's OMP_NUM_THREADS was: joblib gives its processes one of its own.
_GIVEN_THREADS = "SHIFTBENCH_THREADS"


def keep_given_threads() -> None:
    """Note the user's number of threads, so that jobs in other processes use it too."""
    if given := os.environ.get("OMP_NUM_THREADS"):
        os.environ[_GIVEN_THREADS] = given


def take_place(launcher: Any, folder: Path) -> None:
    """Give this process its share of the machine, once: threads, and a device of its own.

    A number of threads that the user gave as ``OMP_NUM_THREADS`` counts for every job. Must come
    before torch is imported, which reads the number of threads then.

    Args:
        launcher: Hydra's launcher settings.
        folder: Where the processes of one sweep tell each other which places are taken.
    """
    if _held:
        return
    at_once = jobs_at_once(launcher)
    cores = launcher.get("cpus_per_task") or max(1, _cores() // at_once)
    threads = os.environ.get(_GIVEN_THREADS) or str(cores)
    # torch asks MKL last, and joblib gives its processes one MKL thread.
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = threads
    os.environ["SHIFTBENCH_PLACE"] = str(_free_place(folder, at_once))


def is_parallel(launcher: Any) -> bool:
    """Whether jobs run in processes other than the one that was started."""
    return not str(launcher.get("_target_", "")).endswith("basic_launcher.BasicLauncher")


def jobs_at_once(launcher: Any) -> int:
    """Return how many jobs joblib runs side by side; 1 for launchers that are given cores."""
    jobs = int(launcher.get("n_jobs") or 1)
    # joblib: -1 is all cores, -2 all but one
    return jobs if jobs > 0 else max(1, _cores() + 1 + jobs)


def place() -> int:
    """Return which place this process has, 0 where it is alone."""
    return int(os.environ.get("SHIFTBENCH_PLACE", "0"))


def _free_place(folder: Path, at_once: int) -> int:
    from filelock import FileLock, Timeout

    folder.mkdir(parents=True, exist_ok=True)
    for number in range(at_once):
        lock = FileLock(folder / f"place-{number}.lock")
        try:
            lock.acquire(timeout=0)
        except (Timeout, OSError, NotImplementedError):
            continue
        _held.append(lock)
        return number
    _held.append(None)
    return 0


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))  # what this process may use, not what there is
    except AttributeError:
        return os.cpu_count() or 1
