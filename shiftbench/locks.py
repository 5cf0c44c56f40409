"""One process at a time, by a lock on a file; no lock outlives its process."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

log = logging.getLogger(__name__)


@contextmanager
def exclusive(path: Path, waiting: str = "") -> Iterator[None]:
    """Let one process at a time into the block, by a lock on ``path`` (a file made for it).

    The jobs of a sweep then wait for one download, one training or one measurement instead of
    each doing it. Where the file system has no locks, the block simply runs: every file is
    still written whole.

    Args:
        path: The lock file; its folder is made.
        waiting: What to log if another process is inside.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path)
    with suppress(OSError, NotImplementedError):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if waiting:
                log.info(waiting)
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


def is_locked(path: Path) -> bool:
    """Whether another process holds the lock on ``path``."""
    from filelock import FileLock, Timeout

    if not path.exists():
        return False
    try:
        with FileLock(path).acquire(timeout=0):
            return False
    except Timeout:
        return True
    except (OSError, NotImplementedError):
        return False
