"""Configuration of the C library's allocator, so that it keeps freed memory.

A network's feature maps have the same sizes at every step. By default, glibc returns such blocks to
the system as soon as they are freed, and the next step has to allocate them again, page by page: a
tenth of the time of a run on a CPU. Results do not depend on it.
"""

from __future__ import annotations

import ctypes
import os
import sys

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h
NEVER = -1
KEPT = 2**28  # bytes; larger blocks, i.e. prediction tables, are still returned at once
OLDER_KEPT = 2**25  # the maximum of glibc before 2.35
OWN_CHOICE = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES")


def keep_freed_memory() -> bool:
    """Keep freed blocks for the next step; return whether the C library was configured.

    Has no effect if it is not glibc, or if the user's environment configures it already.
    """
    if not sys.platform.startswith("linux") or any(name in os.environ for name in OWN_CHOICE):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return False
    kept = mallopt(MMAP_THRESHOLD, KEPT) or mallopt(MMAP_THRESHOLD, OLDER_KEPT)
    return bool(kept and mallopt(TRIM_THRESHOLD, NEVER))
