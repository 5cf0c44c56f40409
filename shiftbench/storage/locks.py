"""Locks for one process at a time, on one machine or on several that share a folder.

A lock is one of the operating system, which is released when its process ends, and a lease (see
:mod:`shiftbench.storage.leases`) for machines on which the first is not visible.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from shiftbench.storage import leases
from shiftbench.storage.leases import Holder, Lease, lease_path
from shiftbench.storage.warn_once import warn_once

if TYPE_CHECKING:
    from filelock import BaseFileLock

log = logging.getLogger(__name__)

NO_LOCK = "no lock in %s (%s); other processes may do the same work"
LOOK_EVERY = 0.05  # seconds between two attempts to take a lock
LOOK_AT_LEASE_EVERY = 1.0  # seconds, since it writes a file each time
JUST_TAKEN = 0.5  # seconds in which a process that has taken a lock writes its lease


class BusyError(Exception):
    """Another process holds the lock.

    Attributes:
        holder: That process, None if it has no lease.
    """

    def __init__(self, holder: Holder | None) -> None:
        super().__init__(holder.worker if holder else "another process")
        self.holder = holder


WaitsFor = Callable[[Holder | None], bool]


def always(_: Holder | None) -> bool:
    """Wait for any process."""
    return True


def siblings(holder: Holder | None) -> bool:
    """Wait for processes of the same command, e.g. its parallel jobs, and for no others."""
    return holder is not None and holder.worker == leases.worker_name()


def nobody(_: Holder | None) -> bool:
    """Wait for no process."""
    return False


@contextmanager
def exclusive(path: Path, waiting: str = "", waits_for: WaitsFor = always) -> Iterator[None]:
    """Allow one process at a time in the block, by a lock on the file ``path``.

    The jobs of a sweep then wait for one download, one training or one measurement instead of
    repeating it. If neither a lock nor a lease can be made (a read-only folder, a full disk), the
    block runs with a warning: every file is still written atomically.

    Args:
        path: The lock file; its folder is created.
        waiting: Log message if another process holds the lock.
        waits_for: Whether to wait for a process that holds the lock.

    Raises:
        BusyError: If a process holds the lock for which ``waits_for`` returns False.
    """
    lock, lease = _lock(path), None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Tested in advance: filelock mistakes some folders in which no file can be created for
        # locked ones, and would wait forever.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o666))
        lease = _acquire(lock, path, waiting, waits_for)
    except (OSError, NotImplementedError) as error:
        reason = str((isinstance(error, OSError) and error.strerror) or error)
        warn_once(log, NO_LOCK, path.parent, reason)
    try:
        yield
    finally:
        if lease:
            lease.release()
        lock.release()


def _acquire(lock: BaseFileLock, path: Path, waiting: str, waits_for: WaitsFor) -> Lease:
    """Return the lease, with the lock held if the file system has locks.

    Raises:
        BusyError: See :func:`exclusive`.
        OSError: If no lease can be written.
    """
    started, announced = time.monotonic(), False
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)  # its holder may have removed the folder
        locked = _try(lock)
        if locked is not False:
            lease = leases.take(lease_path(path), has_system_lock=bool(locked))
            if lease:
                return lease
            lock.release()
        found = leases.written_by(lease_path(path))
        is_starting = found is None and time.monotonic() - started < JUST_TAKEN
        if not is_starting and not waits_for(found):
            raise BusyError(found)
        if waiting and not announced and not is_starting:
            log.info(waiting)
            announced = True
        time.sleep(LOOK_EVERY if locked is False else LOOK_AT_LEASE_EVERY)


def _try(lock: BaseFileLock) -> bool | None:
    """Whether the lock was free and is now held; None if the file system has no locks."""
    from filelock import Timeout

    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    except (OSError, NotImplementedError):
        return None
    return True


def is_locked(path: Path) -> bool:
    """Whether another process holds the lock on ``path``."""
    try:
        if not path.exists():
            return False
    except OSError:  # a folder that may not be searched
        return False
    lock = _lock(path)
    locked = _try(lock)
    lock.release()
    return locked is False or leases.is_held(lease_path(path), bool(locked))


def _lock(path: Path) -> BaseFileLock:
    """Return an operating-system lock, which is released with its process."""
    from filelock import FileLock

    try:
        # Newer releases use a marker file without OS locks, which a killed process leaves behind.
        return FileLock(path, fallback_to_soft=False)
    except TypeError:
        return FileLock(path)
