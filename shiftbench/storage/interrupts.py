"""Deferral of Ctrl-C and SIGTERM during operations that must be complete; without torch."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

ENDINGS = (signal.SIGINT, signal.SIGTERM)
KILL = getattr(signal, "SIGKILL", signal.SIGTERM)  # Windows has only the latter
INTERRUPTED, TERMINATED = 130, 143  # exit codes


def heed_termination() -> None:
    """Make a scheduler's SIGTERM end this process like Ctrl-C, so that runs record the reason.

    A third-party handler, e.g. a launcher's, is kept.
    """
    if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _terminate)


def _terminate(*_: object) -> NoReturn:
    raise KeyboardInterrupt(TERMINATED)


def exit_code(stop: KeyboardInterrupt) -> int:
    """Return 143 for an exception of SIGTERM, 130 for Ctrl-C."""
    return TERMINATED if TERMINATED in stop.args else INTERRUPTED


def how_stopped(stop: KeyboardInterrupt) -> str:
    """Return the reason why a run was stopped.

    >>> how_stopped(KeyboardInterrupt()), how_stopped(KeyboardInterrupt(143))
    ('stopped by Ctrl-C', 'stopped by SIGTERM')
    """
    return "stopped by SIGTERM" if exit_code(stop) == TERMINATED else "stopped by Ctrl-C"


@contextmanager
def children_die_first() -> Iterator[None]:
    """Make Ctrl-C and SIGTERM kill the processes of ``multiprocessing`` that this one started.

    A launcher that is interrupted kills its processes one by one and waits for each, and a process
    that uses a GPU takes a second to die. Killed together, they die together.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {int(n): handler for n in ENDINGS if callable(handler := signal.getsignal(n))}

    def kill_and_stop(number: int, frame: FrameType | None) -> None:
        for pid in (child.pid for child in multiprocessing.active_children()):
            with suppress(OSError):  # it has ended
                if pid:
                    os.kill(pid, KILL)
        before[number](number, frame)

    for number in before:
        signal.signal(number, kill_and_stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def held_off() -> Iterator[None]:
    """Defer SIGINT and SIGTERM to the end of the block.

    Python raises KeyboardInterrupt at any point. Inside ``torch.save`` it becomes a RuntimeError,
    or ends the process when an incomplete archive is closed, since the C++ writer cannot propagate
    a Python exception. In a thread, where Python handles no signals, the block runs as usual.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []

    def remember(number: int, _: FrameType | None) -> None:
        arrived.append(number)

    # A handler that Python did not set could not be restored: it is kept.
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
