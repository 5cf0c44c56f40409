"""The C library's allocator, told to keep what is freed instead of handing it back each time.

A network's maps have the same sizes at every step. Left alone, glibc returns such blocks to the
system as soon as they are free, and the next step pays for them again, page by page: a tenth of the
time of a run on a CPU. No number depends on it.
"""

from __future__ import annotations

import ctypes
import os
import sys

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h
NEVER = -1
KEPT = 2**28  # bytes; larger blocks, the prediction tables, still go back at once
OLDER_KEPT = 2**25  # the most that glibc takes before 2.35
OWN_CHOICE = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES")


def keep_freed_memory() -> bool:
    """Keep freed blocks for the next step; return whether the C library could be told.

    Does nothing where it is not glibc, or where the user's environment sets it up already.
    """
    if not sys.platform.startswith("linux") or any(name in os.environ for name in OWN_CHOICE):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    kept = mallopt(MMAP_THRESHOLD, KEPT) or mallopt(MMAP_THRESHOLD, OLDER_KEPT)
    return bool(kept and mallopt(TRIM_THRESHOLD, NEVER))
