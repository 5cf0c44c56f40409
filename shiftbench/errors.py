"""Errors that the user can correct: one sentence each, printed without a traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

OK, FAILED, USAGE = 0, 1, 2  # exit codes
LONGEST = 2000  # characters of an error that are shown


class ShiftbenchError(Exception):
    """An error with a one-sentence message: the problem, the value, what is allowed, a remedy.

    The command line prints only this message; a job that raises it has failed (exit code 1).
    """


class UsageError(ShiftbenchError):
    """An invalid value that is refused before any work starts (exit code 2)."""


class UnforeseenError(ShiftbenchError):
    """An unforeseen error, whose traceback is in the log of the run."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``" (did you mean 'blur'?)"`` if a known word is close to ``word``, else ``""``.

    >>> did_you_mean("blurr", ["aps", "blur", "max"])
    " (did you mean 'blur'?)"
    >>> did_you_mean("zzz", ["aps", "blur", "max"])
    ''
    """
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" (did you mean '{close[0]}'?)" if close else ""


def printable(value: object, limit: int = 120) -> str:
    r"""Return ``value`` for a message: one line, without control characters, of limited length.

    >>> print(printable("a\nb and more", limit=8))
    a\nb and…
    """
    text = str(value)
    plain = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text[: limit + 1])
    return plain if len(text) <= limit else f"{plain[:limit]}…"


def in_yaml(value: object) -> str:
    """Return ``value`` for a message like :func:`printable`, constants as they are typed.

    >>> in_yaml(None), in_yaml(True), in_yaml("fast")
    ('null', 'true', 'fast')
    """
    constants = {"None": "null", "True": "true", "False": "false"}
    is_constant = value is None or isinstance(value, bool)
    return constants[str(value)] if is_constant else printable(value)


def require_one_of(key: str, value: object, allowed: Iterable[str | int]) -> None:
    """Raise :class:`UsageError` unless ``value`` is one of ``allowed``."""
    allowed = list(allowed)
    if value not in allowed:
        known = [str(one) for one in allowed]
        hint = did_you_mean(str(value), known)
        raise UsageError(
            f"{key}={printable(value)} is not known{hint}; allowed: {', '.join(known)}"
        )


def require_within(key: str, value: float, low: float, high: float) -> None:
    """Raise :class:`UsageError` unless ``low`` ≤ ``value`` ≤ ``high``."""
    # not (low <= value <= high) also catches nan
    if not low <= value <= high:
        raise UsageError(f"{key}={printable(value)} is out of range; allowed: {low} to {high}")
