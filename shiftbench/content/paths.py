"""Files and folders in settings, identified by content, not by name; without torch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from shiftbench.content.digests import FileEntry, file_digest, list_digest, stamp_of
from shiftbench.storage.walk import composed

# Keys whose value is a path even if it looks like a name.
PATH_KEYS = frozenset(
    ("root", "path", "file", "folder", "dir", "directory", "checkpoint", "classes", "annotations")
)

# Output folders: runs write their content and do not depend on it.
_SCRATCH = ("cache", "tmp", "temp", "log", "out")


def named_path(key: str, value: object) -> Path | None:
    """Return the existing file or folder that a setting names, None otherwise.

    A name without a separator or a suffix is a path only under a key that says so: a folder
    named ``resnet50`` is not meant by ``model.name=resnet50``.

    >>> named_path("model.name", "resnet50") is None
    True
    """
    last = key.rpartition(".")[2]
    is_path = last in PATH_KEYS or last.endswith(("_path", "_file", "_dir", "_root", "_folder"))
    looks_so = isinstance(value, str) and ("/" in value or os.sep in value or Path(value).suffix)
    return existing(key, value) if is_path or looks_so else None


def existing(key: str, value: object) -> Path | None:
    """Return the file or folder named ``value``, None if it does not exist."""
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        return None
    if any(word in key.rpartition(".")[2] for word in _SCRATCH):
        return None
    try:
        path = Path(value).expanduser()
        return path if path.is_file() or path.is_dir() else None
    except (OSError, RuntimeError, ValueError):
        return None


def path_content(path: Path) -> str:
    """Return the SHA-256 of a file, or of all files in a folder with their names below it.

    Raises:
        OSError: If one cannot be read.
    """
    if path.is_file():
        return file_digest(path)
    return list_digest(path, "tree", sorted(_tree(path), key=lambda file: file.name))


def _tree(folder: Path) -> Iterator[FileEntry]:
    for parent, folders, files in os.walk(folder, onerror=_raise):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = os.path.join(parent, name)  # noqa: PTH118
            if not name.startswith(".") and Path(path).is_file():
                below = composed(os.path.relpath(path, folder)).replace(os.sep, "/")
                yield FileEntry(below, path, stamp_of(Path(path).stat()))


def _raise(error: OSError) -> None:
    raise error
