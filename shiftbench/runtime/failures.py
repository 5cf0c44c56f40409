"""One-line reasons for unforeseen errors and errors of the system; without torch."""

from __future__ import annotations

import errno
import re

DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def reason_of(error: BaseException) -> str:
    """Return the reason for ``error`` and, if there is one, a remedy.

    >>> reason_of(ZeroDivisionError("division by zero"))
    'ZeroDivisionError: division by zero'
    """
    if is_out_of_memory(error):
        return (
            "out of memory while training or measuring; lower train.batch_size, "
            "measure.batch_size or measure.memory_gb"
        )
    cause = _os_error(error)
    if cause is not None and cause.strerror:
        where = f" ({cause.filename})" if cause.filename else ""
        ending = "free some space" if cause.errno in DISK else "finished files are whole"
        return f"{cause.strerror}{where}; {ending}, or choose another folder with out=PATH"
    first = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {first[0]}"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the machine or the accelerator ran out of memory."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and bool(
        re.search(r"out of memory|can't allocate memory|not enough memory", text, re.IGNORECASE)
    )


def _os_error(error: BaseException | None) -> OSError | None:
    """Return the operating system's error that caused an error of a library."""
    while error is not None:
        if isinstance(error, OSError):
            return error
        error = error.__cause__ or error.__context__
    return None
