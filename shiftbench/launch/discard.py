"""Removal of the folders that a refused command has created; without torch."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from shiftbench.errors import ShiftbenchError, UnforeseenError, UsageError
from shiftbench.runs.run import Run
from shiftbench.storage.leases import lease_path
from shiftbench.storage.locks import BusyError, nobody


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

    def with_unused(self, *folders: Path) -> Fresh:
        """Also count folders that hold at most locks; called once their own lock is held.

        Another command that was refused at the same time has made them, and removes nothing of this
        one. The folder above them is removed, too, if it is empty.
        """
        more = [one for one in folders if one not in self.folders and _is_unused(one)]
        above = [one.parent for one in more if one.parent not in self.parents]
        return Fresh((*self.folders, *more), (*dict.fromkeys(above), *self.parents))

    def without(self, folder: Path) -> Fresh:
        """Return all but one of the folders."""
        return Fresh(tuple(one for one in self.folders if one != folder), self.parents)

    def remove(self) -> None:
        """Remove the folders with their content, and their parents if these are empty."""
        for folder in self.folders:
            shutil.rmtree(folder, ignore_errors=True)
        for parent in self.parents:
            with suppress(OSError):  # another process has written a file there
                parent.rmdir()


def _is_unused(folder: Path) -> bool:
    try:
        return {path.name for path in folder.iterdir()} <= {".lock", lease_path(Path(".lock")).name}
    except FileNotFoundError:  # another command has removed it
        return True
    except OSError:
        return False


@contextmanager
def withdrawn(run: Run, fresh: Fresh, trains_alone: bool) -> Iterator[None]:
    """Remove the ``fresh`` folders of a run that is refused before any computation.

    For a wrong setting, an unreadable image or a network that cannot be modified, the error message
    is sufficient. A run that has begun, or whose log has a traceback, is kept. Folders that existed
    before are kept with their content, and so is that of a training which another job has begun.

    Args:
        run: The run, whose lock is held.
        fresh: Its folders, as far as no other command has used them.
        trains_alone: Whether the lock of the training is held until the network is trained.

    Raises:
        ShiftbenchError: What the block raises.
    """
    try:
        yield
    except ShiftbenchError as error:
        is_refused = isinstance(error, UsageError) or not run.has_begun()
        if is_refused and not isinstance(error, UnforeseenError) and not _has_computed(run, fresh):
            _remove(run, fresh, trains_alone)
        raise


def _has_computed(run: Run, fresh: Fresh) -> bool:
    """Whether the run has predictions or results, or weights that were not there before."""
    results = [*run.folder.glob("*.csv"), *run.folder.glob("predictions/*.npz")]
    return bool(results) or (run.trained in fresh.folders and run.checkpoint.exists())


def _remove(run: Run, fresh: Fresh, trains_alone: bool) -> None:
    """Remove the fresh folders, that of the training only while nobody else trains there."""
    if run.trained in fresh.folders and run.trained.exists():
        try:
            with nullcontext() if trains_alone else run.training_alone(nobody):
                if not run.checkpoint.exists():
                    shutil.rmtree(run.trained, ignore_errors=True)
        except BusyError:
            pass
    fresh.without(run.trained).remove()
