"""Atomic files, which are complete or absent."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from shiftbench.errors import UsageError
from shiftbench.storage.interrupts import held_off


@contextmanager
def atomic_file(path: Path, mode: str = "w") -> Iterator[IO[Any]]:
    """Open a temporary file beside ``path`` that replaces it when the block succeeds.

    If the block raises, ``path`` is unchanged and the temporary file is removed. Ctrl-C and
    SIGTERM wait for the end of the block.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    encoding = None if "b" in mode else "utf-8"
    newline = None if "b" in mode else "\n"
    with held_off():
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        try:
            with os.fdopen(handle, mode, encoding=encoding, newline=newline) as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(0o666 & ~_umask())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def remove_leftovers(folder: Path, older_than: float = 0.0) -> None:
    """Remove the temporary files of a process that was killed while writing in ``folder``.

    Args:
        folder: The folder; its subfolders are searched as well.
        older_than: Age in seconds; if others may be writing, longer than a write takes.
    """
    for path in folder.rglob(".*.part"):
        with suppress(FileNotFoundError):  # another process removed it
            if time.time() - path.stat().st_mtime >= older_than:
                path.unlink()


def cannot_write(path: Path | str, error: OSError) -> UsageError:
    """Return the error message for an output folder that cannot be written to."""
    return UsageError(
        f"cannot write to {path} ({error.strerror or error}); choose another folder with out=PATH"
    )


def names_a_file(text: str) -> bool:
    """Return whether ``text`` is a path rather than a name.

    >>> names_a_file("IMAGENET1K_V1"), names_a_file("resnet50.pth"), names_a_file("weights/best")
    (False, True, True)
    """
    known = (".pt", ".pth", ".safetensors", ".bin", ".tar", ".ckpt")
    return "/" in text or os.sep in text or text.lower().endswith(known)


def set_aside(path: Path) -> Path:
    """Rename an unusable file, so that it is kept but does not interfere.

    Returns:
        Its new name: ``<name>.damaged``, with a number if that exists.
    """
    number = 1
    kept = path.with_name(f"{path.name}.damaged")
    while kept.exists():
        number += 1
        kept = path.with_name(f"{path.name}.damaged-{number}")
    path.rename(kept)
    return kept


def _umask() -> int:
    # mkstemp makes files private; results should have the usual permissions.
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` atomically."""
    with atomic_file(path) as file:
        file.write(text)
