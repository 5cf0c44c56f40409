"""SHA-256 of files and of lists of files, cached by size, times and inode."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from shiftbench.storage.atomic import write_text
from shiftbench.storage.cache import cache_dir

log = logging.getLogger(__name__)

# Two changes within one tick of the file system's clock leave the same times. A digest is therefore
# cached only if the file is older than the coarsest clock (FAT: 2 s).
SETTLED_NS = 2_500_000_000
# Below this size, reading a file costs less than looking up its digest.
SMALL = 1 << 20
# Above this number of bytes, a log line explains the delay.
LARGE = 500_000_000
_FORMAT = 1

Stamp = tuple[int, int, int, int]


class FileEntry(NamedTuple):
    """A file of a list.

    Attributes:
        name: Its name in the list, with forward slashes.
        path: Its path.
        stamp: Size, modification and change time in nanoseconds, and inode.
    """

    name: str
    path: str
    stamp: Stamp


def stamp_of(status: os.stat_result) -> Stamp:
    """Return a stamp that changes when a file is replaced or written to.

    Archives and package managers reset the modification time; the change time cannot be set.
    """
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's content, as hexadecimal digits.

    Raises:
        OSError: If it cannot be read.
    """
    if path.stat().st_size < SMALL:
        return _sha256(path)
    return remembered(path, "file", lambda: _sha256(path))


def remembered(path: Path, kind: str, compute: Callable[[], str]) -> str:
    """Return ``compute()`` for a file, from the cache if the file is unchanged.

    Raises:
        OSError: If the file cannot be read.
    """
    stamp = stamp_of(path.stat())
    return _Memory.of(path, kind).digest_of(repr(stamp), [stamp], compute)


def list_digest(root: Path, kind: str, files: Sequence[FileEntry]) -> str:
    """Return a SHA-256 of the names and contents of ``files``, in their order.

    Args:
        root: Their folder, the key of the cache.
        kind: Meaning of the list; distinguishes two lists of the same folder in the cache.
        files: The files.

    Raises:
        OSError: If one cannot be read.
    """
    memory = _Memory.of(root, kind)
    stamps = repr([(file.path, file.stamp) for file in files])
    return memory.digest_of(
        stamps, [file.stamp for file in files], lambda: _digest_of_all(memory, files)
    )


def _digest_of_all(memory: _Memory, files: Sequence[FileEntry]) -> str:
    """Return the digest of a list, reading the files that are new or changed."""
    started = time.time_ns()
    known = _read(memory.known)
    new = sum(file.stamp[0] for file in files if known.get(file.path, [()])[0] != list(file.stamp))
    if new > LARGE:
        log.info("reading %.1f GB once, to identify these files by their content", new / 1e9)
    digests = [_known_or_read(file, known) for file in files]
    settled = {
        file.path: [list(file.stamp), digest]
        for file, digest in zip(files, digests, strict=True)
        if _is_settled(file.stamp, started)
    }
    _write(memory.known, settled)
    lines = [(file.name, digest) for file, digest in zip(files, digests, strict=True)]
    return hashlib.sha256(repr(lines).encode()).hexdigest()


@dataclass(frozen=True)
class _Memory:
    """The cache entry of one file or list.

    ``key`` holds the stamps of all files together and the digest, so an unchanged list needs one
    short file. ``known`` holds each file's digest, and is read only after a change.
    """

    key: Path
    known: Path

    @classmethod
    def of(cls, path: Path, kind: str) -> _Memory:
        name = hashlib.sha256(os.fsencode(f"{_FORMAT} {kind} {path.resolve()}")).hexdigest()[:32]
        folder = cache_dir() / "digests"
        return cls(folder / f"{name}.json", folder / f"{name}.files.json")

    def digest_of(self, stamps: str, each: Sequence[Stamp], compute: Callable[[], str]) -> str:
        """Return the cached digest for these stamps, or compute and cache it."""
        stamps = hashlib.sha256(stamps.encode()).hexdigest()
        found = _read(self.key)
        if found.get("stamps") == stamps:
            return str(found["digest"])
        started = time.time_ns()
        digest = compute()
        if all(_is_settled(stamp, started) for stamp in each):
            _write(self.key, {"stamps": stamps, "digest": digest})
        return digest


def _is_settled(stamp: Stamp, now: int) -> bool:
    return max(stamp[1], stamp[2]) < now - SETTLED_NS


def _sha256(path: Path | str) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(path: Path, content: dict[str, Any]) -> None:
    """Write the entry; if the cache cannot be written, the run only takes longer."""
    try:
        write_text(path, json.dumps(content))
    except OSError as error:
        log.debug("digests cannot be cached in %s (%s)", path.parent, error)


def _known_or_read(file: FileEntry, known: dict[str, Any]) -> str:
    with suppress(KeyError, TypeError, ValueError, IndexError):
        stamp, digest = known[file.path]
        if tuple(stamp) == file.stamp:
            return str(digest)
    return _sha256(file.path)


def _read(path: Path) -> dict[str, Any]:
    """Return a cached mapping, {} if it is missing or damaged."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
