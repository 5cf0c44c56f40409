"""Ctrl-C and a scheduler's SIGTERM, kept off while something must not be cut in two; no torch."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

ENDINGS = (signal.SIGINT, signal.SIGTERM)
INTERRUPTED, TERMINATED = 130, 143  # exit codes


def heed_termination() -> None:
    """Let a scheduler's SIGTERM end this process as Ctrl-C does, so that what it does says so.

    A handler that somebody else has set, e.g. a launcher's, stays.
    """
    if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _terminate)


def _terminate(*_: object) -> NoReturn:
    raise KeyboardInterrupt(TERMINATED)


def exit_code(stop: KeyboardInterrupt) -> int:
    """Return 143 for what SIGTERM raised, 130 for Ctrl-C."""
    return TERMINATED if TERMINATED in stop.args else INTERRUPTED


def how_stopped(stop: KeyboardInterrupt) -> str:
    """Return who stopped a run.

    >>> how_stopped(KeyboardInterrupt()), how_stopped(KeyboardInterrupt(143))
    ('stopped by Ctrl-C', 'stopped by SIGTERM')
    """
    return "stopped by SIGTERM" if exit_code(stop) == TERMINATED else "stopped by Ctrl-C"


@contextmanager
def held_off() -> Iterator[None]:
    """Let SIGINT and SIGTERM act when the block is over.

    Python raises KeyboardInterrupt wherever it happens to be. Inside ``torch.save`` that becomes
    a RuntimeError, or ends the process when a half-written archive is closed: the C++ writer
    cannot pass a Python exception on. In a thread, where Python handles no signals, the block
    simply runs.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []

    def remember(number: int, _: FrameType | None) -> None:
        arrived.append(number)

    # A handler that Python did not set could not be put back: it stays.
    before = {n: handler for n in ENDINGS if (handler := signal.getsignal(n)) is not None}
    try:
        for number in before:
            signal.signal(number, remember)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for late in dict.fromkeys(arrived):
            signal.raise_signal(late)
