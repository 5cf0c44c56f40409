"""The image files below a folder, in an order that does not depend on the machine; no torch.

File systems store one name in several Unicode forms (macOS decomposes é into e and an accent).
Names are therefore compared and sorted in their composed form (NFC), and files are opened under the
name that they have.
"""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path
from typing import NamedTuple

from shiftbench.errors import UsageError

_NETPBM = (".pbm", ".pgm", ".pnm", ".ppm")
SUFFIXES = frozenset((".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp", *_NETPBM))


class ImageFile(NamedTuple):
    """A file below a root.

    Attributes:
        name: Its path below the root in composed Unicode, with forward slashes.
        path: The same as it is stored, to open it.
        status: Of the file; None of a dangling link.
    """

    name: str
    path: str
    status: os.stat_result | None


def composed(name: str) -> str:
    """Return ``name`` in the composed form of Unicode (NFC)."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def subfolders(folder: Path) -> dict[str, str]:
    """Return the folders in ``folder``, hidden ones left out: composed name to name, sorted.

    Raises:
        OSError: If it cannot be listed.
        UsageError: If two of them have one name in two Unicode forms.
    """
    with os.scandir(folder) as entries:
        names = [e.name for e in entries if not e.name.startswith(".") and e.is_dir()]
    found: dict[str, str] = {}
    for name in sorted(names, key=_order):
        if composed(name) in found:
            raise UsageError(
                f"{folder} has two folders named {composed(name)} in two Unicode forms; rename one"
            )
        found[composed(name)] = name
    return found


def image_files(root: Path, folder: str) -> list[ImageFile]:
    """Return the images in ``root/folder`` and below, sorted; hidden files are passed over.

    Raises:
        OSError: If a folder cannot be listed.
    """
    prefix = "" if folder in ("", ".") else f"{folder}/"
    files: list[ImageFile] = []
    _append_files(files, f"{root}/{folder}", prefix, composed(prefix))
    return files


def _append_files(files: list[ImageFile], folder: str, path: str, name: str) -> None:
    # A list and plain strings: this is run for every file whenever a run is looked for.
    with os.scandir(folder) as scan:
        entries = {entry.name: entry for entry in scan}
    # ASCII names have one form; sorting by it is three times as fast.
    plain = all(map(str.isascii, entries))
    for own in sorted(entries) if plain else sorted(entries, key=_order):
        entry = entries[own]
        if own[0] == ".":
            continue
        # A link to a folder is not followed: it could lead back to a folder above.
        if entry.is_dir(follow_symlinks=False):
            _append_files(files, entry.path, f"{path}{own}/", f"{name}{composed(own)}/")
        elif f".{own.rpartition('.')[2].lower()}" in SUFFIXES:
            files.append(ImageFile(name + composed(own), path + own, _status(entry)))


def _order(name: str) -> tuple[str, str]:
    return composed(name), name


def _status(entry: os.DirEntry[str]) -> os.stat_result | None:
    try:
        return entry.stat()
    except FileNotFoundError:  # a dangling link
        return None
