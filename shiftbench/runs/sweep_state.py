"""The sweep folder: the jobs of a sweep and the state of each; without torch.

Jobs may run in other processes or on other machines, so their state is kept on disk: every job
maintains one small file, and the state of the sweep is derived from all of them. Several commands,
its workers, may run the jobs of one sweep; a job's file is written by the one that holds its run.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from shiftbench.errors import ShiftbenchError
from shiftbench.settings.schema import NOT_IDENTITY
from shiftbench.settings.slugs import short_hash
from shiftbench.storage.atomic import write_text
from shiftbench.storage.json_files import read_mapping
from shiftbench.storage.leases import worker_name
from shiftbench.storage.locks import is_locked

WAITING, RUNNING, DONE, SKIPPED, FAILED = "waiting", "running", "done", "skipped", "failed"
LEFT_OUT = "left out"  # by fail_fast
STOPPED = "stopped"  # by Ctrl-C or SIGTERM
ENDED = (DONE, SKIPPED, FAILED, LEFT_OUT, STOPPED)
SETTLED = (DONE, SKIPPED, FAILED, LEFT_OUT)  # no worker of the sweep tries these again


@dataclass(frozen=True)
class Job:
    """One job of a sweep.

    Attributes:
        number: Its position in the sweep, from 0.
        overrides: Its overrides, ``("pool=max", "seed=0")``.
        state: ``waiting``, ``running``, ``done``, ``skipped`` (was done before), ``failed``,
            ``left out`` or ``stopped``.
        run_id: Its run, None if it did not get that far.
        error: Why it failed.
        usage: Whether a wrong setting was the cause.
        process: The process that runs it.
        worker: The command that this process belongs to, ``<host>-<process>``.
        training: The training that it waits for, a path relative to the sweep's runs.
        seconds: Its duration.
        time: Time of its last update, in seconds since the epoch.
        sweep: When the sweep was started for which it runs, by the clock that wrote ``sweep.json``.
    """

    number: int
    overrides: tuple[str, ...]
    state: str = WAITING
    run_id: str | None = None
    error: str | None = None
    usage: bool = False
    process: int = 0
    worker: str = ""
    training: str | None = None
    seconds: float = 0.0
    time: float = 0.0
    sweep: float = 0.0


KEPT = tuple(one.name for one in fields(Job) if one.name not in ("number", "overrides"))


def rerun_command(overrides: Sequence[str]) -> str:
    """Return the command that runs one job of a sweep separately.

    >>> rerun_command(["pool=max", "shift=[circular,crop]"])
    "shiftbench pool=max 'shift=[circular,crop]'"
    """
    # The yaml of an experiment may itself request a sweep.
    mode = ["hydra.mode=RUN"] if any(one.startswith("experiment=") for one in overrides) else []
    return shlex.join(["shiftbench", *overrides, *mode])


def identifying(overrides: Sequence[str]) -> frozenset[str]:
    """Return the overrides that distinguish runs, thus without e.g. the device."""
    return frozenset(item for item in overrides if item.split("=")[0] not in NOT_IDENTITY)


@dataclass(frozen=True)
class Sweep:
    """A sweep folder.

    Attributes:
        folder: ``<out>/sweeps/<id>``.
        runs: ``<out>/runs``, the folder of its runs.
        command: The command line.
        started: When it was last started, in seconds since the epoch.
        overrides: The overrides of every job, in order.
    """

    folder: Path
    runs: Path
    command: tuple[str, ...]
    started: float
    overrides: tuple[tuple[str, ...], ...]

    @classmethod
    def start(cls, folder: Path, runs: Path, jobs: Sequence[Sequence[str]]) -> Sweep:
        """Write ``sweep.json``; files of earlier starts are kept."""
        started = time.time()
        content = {
            "command": ["shiftbench", *sys.argv[1:]],
            "started": started,
            "runs": os.path.relpath(runs, folder),
            "jobs": [list(job) for job in jobs],
        }
        write_text(folder / "sweep.json", json.dumps(content, indent=1) + "\n")
        return cls.load(folder)

    @classmethod
    def load(cls, folder: Path) -> Sweep:
        """Read a sweep folder.

        Raises:
            ShiftbenchError: If the folder is not a sweep folder.
        """
        path = Path(folder) / "sweep.json"
        try:
            content = read_mapping(path)
            return cls(
                folder=Path(folder),
                runs=Path(os.path.normpath(Path(folder) / content["runs"])),
                command=tuple(content["command"]),
                started=float(content["started"]),
                overrides=tuple(tuple(job) for job in content["jobs"]),
            )
        except FileNotFoundError:
            raise ShiftbenchError(f"{folder} is not a sweep folder: it has no sweep.json") from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ShiftbenchError(f"{path} is not readable ({error})") from error

    def jobs(self) -> list[Job]:
        """Return every job with its current state, in order.

        A job that has not begun since the last start is ``waiting``, with the run of an earlier
        start.
        """
        return [self._job(number, item) for number, item in enumerate(self.overrides)]

    def _job(self, number: int, overrides: tuple[str, ...]) -> Job:
        try:
            content = read_mapping(self._file(overrides))
            known = {name: content[name] for name in KEPT if name in content}
            job = Job(number, overrides, **known)
        except (OSError, ValueError, TypeError):
            return Job(number, overrides)
        # Clocks of machines differ: a job of this start may seem to be older than the start.
        if job.sweep == self.started or job.time >= self.started:
            return job
        return Job(number, overrides, run_id=job.run_id)

    def job(self, overrides: Sequence[str]) -> Job:
        """Return the job with these overrides; its number is -1 if it is not listed any more."""
        return self._job(*self._listed(tuple(overrides)))

    def put(self, overrides: Sequence[str], **state: Any) -> None:
        """Write the state of the job with these overrides."""
        _, listed = self._listed(tuple(overrides))
        job = Job(
            0, listed, process=os.getpid(), worker=worker_name(), time=time.time(),
            sweep=self.started, **state,
        )  # fmt: skip
        write_text(self._file(job.overrides), json.dumps(asdict(job)) + "\n")

    def is_worked_on(self, job: Job) -> bool:
        """Whether a process works on the job's run, or on the training that the job waits for."""
        locks = [self.runs / folder / ".lock" for folder in (job.run_id, job.training) if folder]
        return any(is_locked(lock) for lock in locks)

    def is_for(self, jobs: Sequence[Sequence[str]]) -> bool:
        """Whether the sweep has these jobs; their order, devices and the like may differ."""
        return set(map(identifying, self.overrides)) == set(map(identifying, jobs))

    def _listed(self, overrides: tuple[str, ...]) -> tuple[int, tuple[str, ...]]:
        """Return a job's number and its overrides, to which a worker may have added a device."""
        if overrides in self.overrides:
            return self.overrides.index(overrides), overrides
        own = identifying(overrides)
        equal = (found for found in enumerate(self.overrides) if identifying(found[1]) == own)
        return next(equal, (-1, overrides))

    def _file(self, overrides: tuple[str, ...]) -> Path:
        return self.folder / "jobs" / f"{short_hash(' '.join(overrides))}.json"
