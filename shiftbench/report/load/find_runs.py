"""Search for run and sweep folders below the folders that a user names."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from shiftbench.errors import ShiftbenchError

# A run is two levels below <out>, and <out> may be three levels below the named folder.
DEEPEST = 5


@dataclass(frozen=True)
class Places:
    """The folders that were found.

    Attributes:
        runs: Run folders, without duplicates.
        sweeps: Sweep folders, without duplicates.
        named: The subset that the user named, rather than a folder above.
    """

    runs: list[Path]
    sweeps: list[Path]
    named: list[Path]


def find(places: Sequence[Path]) -> Places:
    """Return the runs and the sweeps in ``places``.

    Raises:
        ShiftbenchError: If one of the places contains none.
    """
    runs: dict[Path, None] = {}
    sweeps: dict[Path, None] = {}
    for place in places:
        _require_folder(place)
        found_runs, found_sweeps = _below(place.resolve(), DEEPEST)
        if not found_runs and not found_sweeps:
            raise ShiftbenchError(
                f"{place} holds no run and no sweep; name a folder that does, e.g. "
                f"{_example(place)}"
            )
        runs |= dict.fromkeys(found_runs)
        sweeps |= dict.fromkeys(found_sweeps)
    named = {place.resolve() for place in places}
    return Places(list(runs), list(sweeps), [path for path in (*runs, *sweeps) if path in named])


def is_run(folder: Path) -> bool:
    """Whether ``folder`` is a run folder."""
    return (folder / "run.json").is_file()


def is_sweep(folder: Path) -> bool:
    """Whether ``folder`` is a sweep folder."""
    return (folder / "sweep.json").is_file()


def _below(folder: Path, levels: int) -> tuple[list[Path], list[Path]]:
    if is_run(folder):
        return [folder], []
    if is_sweep(folder):
        return [], [folder]
    runs: list[Path] = []
    sweeps: list[Path] = []
    for child in _subfolders(folder) if levels else []:
        more_runs, more_sweeps = _below(child, levels - 1)
        runs += more_runs
        sweeps += more_sweeps
    return runs, sweeps


def _subfolders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            found = [entry.name for entry in entries if entry.name[0] != "." and entry.is_dir()]
    except OSError:  # no permission to read it
        return []
    return [(folder / name).resolve() for name in sorted(found)]


def _require_folder(place: Path) -> None:
    if not place.exists():
        raise ShiftbenchError(f"there is no folder {place}; name one with runs, e.g. outputs")
    if not place.is_dir():
        raise ShiftbenchError(f"{place} is a file; name the folder it is in, {place.parent}")


def _example(place: Path) -> Path:
    """Return the nearest folder above ``place`` that contains runs, or ``outputs``."""
    above = (parent for parent in place.resolve().parents if (parent / "runs").is_dir())
    return next(above, Path("outputs"))
