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
class Found:
    """The folders that were found.

    Attributes:
        runs: Run folders, without duplicates.
        sweeps: Sweep folders, without duplicates.
        named: The subset that the user named, rather than a folder above.
    """

    runs: list[Path]
    sweeps: list[Path]
    named: list[Path]


def find(folders: Sequence[Path]) -> Found:
    """Return the runs and the sweeps in ``folders``.

    Raises:
        ShiftbenchError: If one of the folders contains none.
    """
    runs: dict[Path, None] = {}
    sweeps: dict[Path, None] = {}
    for folder in folders:
        _require_folder(folder)
        found_runs, found_sweeps = _below(folder.resolve(), DEEPEST)
        if not found_runs and not found_sweeps:
            raise ShiftbenchError(
                f"{folder} holds no run and no sweep; name a folder that does, e.g. "
                f"{_example(folder)}"
            )
        runs |= dict.fromkeys(found_runs)
        sweeps |= dict.fromkeys(found_sweeps)
    named = {folder.resolve() for folder in folders}
    return Found(list(runs), list(sweeps), [path for path in (*runs, *sweeps) if path in named])


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


def _require_folder(folder: Path) -> None:
    if not folder.exists():
        raise ShiftbenchError(f"there is no folder {folder}; name one with runs, e.g. outputs")
    if not folder.is_dir():
        raise ShiftbenchError(f"{folder} is a file; name the folder it is in, {folder.parent}")


def _example(folder: Path) -> Path:
    """Return the nearest folder above ``folder`` that contains runs, or ``outputs``."""
    above = (parent for parent in folder.resolve().parents if (parent / "runs").is_dir())
    return next(above, Path("outputs"))
