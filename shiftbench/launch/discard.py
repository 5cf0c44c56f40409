"""What a refused command has made, taken away again; no torch."""

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
    """Folders that were not there before.

    Attributes:
        folders: Those that a command makes for itself.
        parents: Those above them, the deepest first; others may put files there meanwhile.
    """

    folders: tuple[Path, ...]
    parents: tuple[Path, ...]

    @classmethod
    def of(cls, *folders: Path) -> Fresh:
        """Return which of ``folders``, and of those above them, are not there yet."""
        new = [folder for folder in folders if not folder.exists()]
        above = {parent for folder in new for parent in folder.parents if not parent.exists()}
        deepest_first = sorted(above, key=lambda parent: len(parent.parts), reverse=True)
        return cls(tuple(new), tuple(deepest_first))

    def remove(self) -> None:
        """Remove the folders with all that is in them, and the empty ones above."""
        for folder in self.folders:
            shutil.rmtree(folder, ignore_errors=True)
        for parent in self.parents:
            with suppress(OSError):  # somebody else has put something there
                parent.rmdir()


@contextmanager
def withdrawn(this: Run) -> Iterator[None]:
    """Leave nothing of a run that is refused before anything of it was computed.

    A wrong setting, an image that cannot be read, a network that cannot be changed: the sentence
    says all there is to know. A run that had begun, or whose log has a traceback, stays. Folders
    that were there before stay, with all that is in them.

    Raises:
        ShiftbenchError: What the block raises.
    """
    fresh = Fresh.of(this.folder, this.trained)
    try:
        yield
    except ShiftbenchError as error:
        is_refused = isinstance(error, UsageError) or not this.has_begun()
        if is_refused and not isinstance(error, UnforeseenError) and not _has_computed(this):
            fresh.remove()
        raise


def _has_computed(this: Run) -> bool:
    """Whether there are weights, answers or numbers."""
    results = [*this.folder.glob("*.csv"), *this.folder.glob("predictions/*.npz")]
    return bool(results) or this.checkpoint.exists()
