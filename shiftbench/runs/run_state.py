"""The state of a run, ``status.json`` in its folder; without torch."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from shiftbench.runs.provenance import now
from shiftbench.storage.json_files import read_mapping, write_mapping


class Once:
    """A function of which only the first call has an effect."""

    def __init__(self, function: Callable[[], None]) -> None:
        self._function = function
        self.is_done = False

    def __call__(self) -> None:
        """Call the function, unless that was done before."""
        if not self.is_done:
            self.is_done = True
            self._function()


def write_status(folder: Path, state: str, **details: Any) -> None:
    """Write ``status.json`` with the time."""
    write_mapping(folder / "status.json", {"state": state, "time": now(), **details})


def close_status(folder: Path, state: str, reason: str) -> None:
    """Record how a run ended, ``failed`` or ``interrupted``, if its process did not do so.

    Args:
        folder: The run's folder, which may not exist.
        state: The final state.
        reason: The reason for it.
    """
    with suppress(OSError, ValueError, TypeError, KeyError):
        if read_mapping(folder / "status.json")["state"] == "running":
            write_status(folder, state, error=reason)
