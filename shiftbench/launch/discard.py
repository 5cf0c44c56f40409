"""Removal of the folders that a refused command has created; without torch."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from shiftbench.errors import ShiftbenchError, UnforeseenError, UsageError
from shiftbench.runs.run import Run


@dataclass(frozen=True)
class Fresh:
    """Folders that did not exist before the command.

    Attributes:
        folders: The folders that the command creates for itself.
        parents: The folders above them, deepest first; other processes may write there meanwhile.
    """

    folders: tuple[Path, ...]
    parents: tuple[Path, ...]

    @classmethod
    def of(cls, *folders: Path) -> Fresh:
        """Return which of ``folders``, and of their parents, do not exist yet."""
        new = [folder for folder in folders if not folder.exists()]
        above = {parent for folder in new for parent in folder.parents if not parent.exists()}
        deepest_first = sorted(above, key=lambda parent: len(parent.parts), reverse=True)
        return cls(tuple(new), tuple(deepest_first))

    def remove(self) -> None:
        """Remove the folders with their content, and their parents if these are empty."""
        for folder in self.folders:
            shutil.rmtree(folder, ignore_errors=True)
        for parent in self.parents:
            with suppress(OSError):  # another process has written a file there
                parent.rmdir()


@contextmanager
def withdrawn(this: Run, fresh: Fresh) -> Iterator[None]:
    """Remove the ``fresh`` folders of a run that is refused before any computation.

    For a wrong setting, an unreadable image or a network that cannot be modified, the error message
    is sufficient. A run that has begun, or whose log has a traceback, is kept. Folders that existed
    before are kept with their content.

    Raises:
        ShiftbenchError: What the block raises.
    """
    try:
        yield
    except ShiftbenchError as error:
        is_refused = isinstance(error, UsageError) or not this.has_begun()
        if is_refused and not isinstance(error, UnforeseenError) and not _has_computed(this):
            fresh.remove()
        raise


def _has_computed(this: Run) -> bool:
    """Whether the run has weights, predictions or results."""
    results = [*this.folder.glob("*.csv"), *this.folder.glob("predictions/*.npz")]
    return bool(results) or this.checkpoint.exists()
