"""The cache of downloads and decoded images: its folder, reading and writing."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftbench.storage.atomic import atomic_file
from shiftbench.storage.warn_once import warn_once

log = logging.getLogger(__name__)

Arrays = dict[str, NDArray[Any]]


def cache_dir() -> Path:
    """Return the folder for downloads and decoded images; it may not exist yet.

    ``SHIFTBENCH_CACHE`` names it; otherwise it is ``shiftbench`` in ``XDG_CACHE_HOME`` or in
    ``~/.cache``, and for a user without a home directory in the folder of temporary files.
    Everything in it may be deleted: the next run recreates it.
    """
    if own := os.environ.get("SHIFTBENCH_CACHE"):
        return Path(own).expanduser()
    xdg = Path(os.environ.get("XDG_CACHE_HOME", ""))
    # The XDG specification says to ignore a relative path.
    base = xdg if xdg.is_absolute() else _home_cache()
    return base / "shiftbench"


def _home_cache() -> Path:
    try:
        return Path.home() / ".cache"
    except RuntimeError:  # a user without one, as containers have
        user = os.getuid() if sys.platform != "win32" else 0
        base = Path(tempfile.gettempdir()) / f"cache-{user}"
        warn_once(log, "there is no home directory; downloads and decoded images go to %s", base)
        return base


def read_arrays(path: Path) -> Arrays | None:
    """Return the arrays of an ``.npz`` file, or None if it is missing or damaged.

    The zip container holds a CRC-32 of every array, so a flipped byte is detected. A
    damaged file is deleted with a warning; an unreadable one is kept, also with a warning.
    """
    try:
        # Opened here because numpy does not close a damaged archive.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, TypeError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # the system's, not numpy's
            log.warning("the cache file %s cannot be read (%s)", path, error.strerror)
            return None
        # TypeError: a lone array under an .npz name cannot be opened as an archive.
        discard(path, error)
        return None


def discard(path: Path, reason: object) -> None:
    """Delete a damaged cache file and log why."""
    log.warning("the cache file %s is damaged (%s) and is recreated", path, reason)
    with suppress(OSError):
        path.unlink()


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write ``arrays`` to ``path`` atomically.

    If the cache cannot be written (a full disk, a read-only folder), a warning is logged and the
    run continues.
    """
    try:
        with atomic_file(path, "wb") as file:
            # Through a variable: numpy's type stubs take any name for its option allow_pickle.
            save: Callable[..., None] = np.savez
            save(file, **arrays)
    except OSError as error:
        reason = error.strerror or error
        warn_once(log, "could not keep the decoded images in %s (%s)", path.parent, str(reason))
