"""Arrays too large for memory: their content is in an unnamed file, mapped into memory.

They are ordinary numpy arrays. The file has no name, so it vanishes with the process, however that
ends. Pages that were read or written stay in memory until :func:`release` lets go of them.
"""

from __future__ import annotations

import logging
import math
import mmap
import os
import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from shiftbench.storage.cache import cache_dir

log = logging.getLogger(__name__)

# Bytes from which on an array is kept in a file. A prediction table of 10,000 images × 961 shifts
# has columns of 38 MB, which stay in memory.
LARGE = 2**26


def empty(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Return an array without content, in a file if it has at least :data:`LARGE` bytes.

    The file is in the folder of :func:`~shiftbench.storage.cache.cache_dir`, since the folder of
    temporary files often is memory itself. If it cannot be written, the array is in memory.
    """
    kind = np.dtype(dtype)
    if math.prod(shape) * kind.itemsize < LARGE:
        return np.empty(shape, kind)
    folder = cache_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            if hasattr(os, "posix_fallocate"):  # a full disk is an error here, not a signal later
                os.posix_fallocate(file.fileno(), 0, math.prod(shape) * kind.itemsize)
            return np.memmap(file, kind, mode="w+", shape=shape)
    except OSError as error:
        log.warning("no room for %s in %s (%s); kept in memory", shape, folder, error.strerror)
        return np.empty(shape, kind)


def is_spilled(array: NDArray[Any]) -> bool:
    """Whether the content of ``array`` is in a file."""
    return _mapping(array) is not None


def release(*arrays: NDArray[Any]) -> None:
    """Drop the pages of spilled arrays from this process's memory; their content is kept."""
    if not hasattr(mmap, "MADV_DONTNEED"):  # not on Windows: its pages are dropped when needed
        return
    for array in arrays:
        mapping = _mapping(array)
        if mapping is not None:
            mapping.madvise(mmap.MADV_DONTNEED)


def concatenated(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Return the arrays one after another along the first axis, in a file if that is large."""
    first = arrays[0]
    whole = empty((sum(map(len, arrays)), *first.shape[1:]), first.dtype)
    np.concatenate(arrays, out=whole)
    release(whole, *arrays)
    return whole


def _mapping(array: NDArray[Any]) -> mmap.mmap | None:
    """Return the mapping of a file behind ``array`` or the array that it is a view of."""
    base: object = array
    while isinstance(base, np.ndarray):
        found = getattr(base, "_mmap", None)
        if isinstance(found, mmap.mmap):
            return found
        base = base.base
    return base if isinstance(base, mmap.mmap) else None
