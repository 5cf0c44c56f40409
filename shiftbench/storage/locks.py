"""File locks for one process at a time; a lock is released when its process ends."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from filelock import BaseFileLock

log = logging.getLogger(__name__)


@contextmanager
def exclusive(path: Path, waiting: str = "") -> Iterator[None]:
    """Allow one process at a time in the block, by a lock on the file ``path``.

    The jobs of a sweep then wait for one download, one training or one measurement instead of
    repeating it. If no lock can be made (a read-only folder, a full disk, a file system without
    locks), the block runs with a warning: every file is still written atomically.

    Args:
        path: The lock file; its folder is created.
        waiting: Log message if another process holds the lock.
    """
    from filelock import Timeout

    lock = _lock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Tested in advance: filelock mistakes some folders in which no file can be created for
        # locked ones, and would wait forever.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o666))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if waiting:
                log.info(waiting)
            lock.acquire()
    except (OSError, NotImplementedError) as error:
        _warn_once(path.parent, str((isinstance(error, OSError) and error.strerror) or error))
    try:
        yield
    finally:
        lock.release()


@cache
def _warn_once(folder: Path, reason: str) -> None:
    log.warning("no lock in %s (%s); other processes may do the same work", folder, reason)


def is_locked(path: Path) -> bool:
    """Whether another process holds the lock on ``path``."""
    from filelock import Timeout

    try:
        if not path.exists():
            return False
        with _lock(path).acquire(timeout=0):
            return False
    except Timeout:
        return True
    except (OSError, NotImplementedError):
        return False


def _lock(path: Path) -> BaseFileLock:
    """Return an operating-system lock, which is released with its process."""
    from filelock import FileLock

    try:
        # Newer releases use a marker file without OS locks, which a killed process leaves behind.
        return FileLock(path, fallback_to_soft=False)
    except TypeError:
        return FileLock(path)
