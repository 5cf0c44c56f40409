"""Parallel jobs: their number, and the threads and the accelerator of each; without torch."""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from shiftbench.runtime.gpu_memory import memory_of_gpus

# The user's OMP_NUM_THREADS, since joblib sets another value in its processes.
_GIVEN_THREADS = "SHIFTBENCH_THREADS"
SLOTS = "places"  # a folder in that of a sweep, with a folder for each machine
# Twelve jobs of a VGG of width 64, batches of 256, took 77.5 GB of an H100 in all.
MEMORY_OF_JOB = 8 * 2**30


def keep_given_threads() -> None:
    """Record the user's number of threads, so that jobs in other processes use it, too."""
    if given := os.environ.get("OMP_NUM_THREADS"):
        os.environ[_GIVEN_THREADS] = given


@dataclass(frozen=True)
class Slot:
    """A process's share of the machine.

    Attributes:
        number: Its number, from 0.
        lock: Held during the lifetime of the process; the system releases it, however the process
            ends. None if no slot was free.
    """

    number: int
    lock: Any = None


def take_slot(launcher: Any, folder: Path, device: str = "auto") -> Slot:
    """Assign this process its share of the machine: threads and a device.

    If the user sets ``OMP_NUM_THREADS``, it applies to every job. This function has to be called
    before torch is imported, since torch reads the number of threads on import.

    Args:
        launcher: Hydra's launcher settings.
        folder: The folder of the lock files that mark the slots of a sweep on this machine that
            are occupied.
        device: The setting ``device`` of the jobs.
    """
    at_once = jobs_at_once(launcher, device)
    cores = launcher.get("cpus_per_task") or max(1, _cores() // at_once)
    threads = os.environ.get(_GIVEN_THREADS) or str(cores)
    # MKL's setting takes precedence in torch, and joblib sets one MKL thread in its processes.
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = threads
    taken = _free_slot(folder)
    os.environ["SHIFTBENCH_PLACE"] = str(taken.number)
    return taken


def is_parallel(launcher: Any) -> bool:
    """Whether jobs run in other processes than the one that was started."""
    return not str(launcher.get("_target_", "")).endswith("basic_launcher.BasicLauncher")


def jobs_at_once(launcher: Any, device: str = "auto") -> int:
    """Return how many jobs joblib runs in parallel; 1 for launchers that allocate cores.

    A negative ``n_jobs`` counts from the number of cores, as joblib's (-1 is all cores, -2 all but
    one), and is limited by the memory of the GPUs if the jobs may use them.
    """
    jobs = int(launcher.get("n_jobs") or 1)
    if jobs > 0:
        return jobs
    by_cores = max(1, _cores() + 1 + jobs)
    fit = _fit_on_gpus(device)
    return by_cores if fit is None else min(by_cores, fit)


def explain_jobs_at_once(launcher: Any, device: str) -> str | None:
    """Return one sentence if GPU memory limits the number of parallel jobs, otherwise None."""
    jobs, at_once = int(launcher.get("n_jobs") or 1), jobs_at_once(launcher, device)
    if jobs > 0 or at_once != _fit_on_gpus(device):
        return None
    noun = "job" if at_once == 1 else "jobs"
    return (
        f"hydra.launcher.n_jobs={jobs}: {at_once} {noun} at once, one for each "
        f"{MEMORY_OF_JOB // 2**30} GiB of GPU memory; give a number if they need more or less"
    )


def _fit_on_gpus(device: str) -> int | None:
    """Return how many jobs fit on the GPUs, at least one on each; None without GPUs."""
    if not (device == "auto" or device.startswith("cuda")):
        return None
    memory = memory_of_gpus()
    chosen = device.partition(":")[2]
    if chosen.isdecimal():
        memory = memory[int(chosen) : int(chosen) + 1]
    return sum(max(1, size // MEMORY_OF_JOB) for size in memory) or None


def slot_number() -> int:
    """Return the number of this process's slot, 0 for a single process."""
    return int(os.environ.get("SHIFTBENCH_PLACE", "0"))


def has_slot() -> bool:
    """Whether this process runs jobs beside other processes of the same command."""
    return "SHIFTBENCH_PLACE" in os.environ


def _free_slot(folder: Path) -> Slot:
    from filelock import FileLock, Timeout

    folder.mkdir(parents=True, exist_ok=True)
    for number in count():  # other commands on this machine may run jobs of the sweep, too
        lock = FileLock(folder / f"place-{number}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue
        except (OSError, NotImplementedError):
            break
        return Slot(number, lock)
    return Slot(0)


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))  # cores that this process may use
    except AttributeError:
        return os.cpu_count() or 1
