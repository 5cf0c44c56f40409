"""One process at a time, by a lock on a file; no lock outlives its process."""

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
    """Let one process at a time into the block, by a lock on ``path`` (a file made for it).

    The jobs of a sweep then wait for one download, one training or one measurement instead of
    each doing it. Where no lock can be made (a read-only folder, a full disk, a file system
    without locks), the block simply runs, with a warning: every file is still written whole.

    Args:
        path: The lock file; its folder is made.
        waiting: What to log if another process is inside.
    """
    from filelock import Timeout

    lock = _lock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Tried beforehand: filelock takes some places where no file can be made for locked ones,
        # and would wait for ever.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o666))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if waiting:
                log.info(waiting)
            lock.acquire()
    except (OSError, NotImplementedError) as error:
        _warn_once(path.parent, str(getattr(error, "strerror", None) or error))
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
    """Return a lock of the operating system's, which ends with the process that holds it."""
    from filelock import FileLock

    try:
        # Newer releases put a marker file where there are no locks, and a killed process leaves it.
        return FileLock(path, fallback_to_soft=False)
    except TypeError:
        return FileLock(path)
