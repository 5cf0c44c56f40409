"""Leases: files beside locks that tell other machines that a process works there.

A lock of the operating system may be invisible to other machines that share the folder, e.g. on
NFS without a lock service. While a process holds a lock, it therefore also keeps a small file that
a thread touches every ten seconds. A lease that was not touched for a minute, by the clock of the
file system, is that of a dead process and is taken over.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import tempfile
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

log = logging.getLogger(__name__)

RENEWED_EVERY = 10.0  # seconds
DEAD_AFTER = 60.0  # seconds
_WORKER = "SHIFTBENCH_WORKER"  # read by the processes that a command starts


@dataclass(frozen=True)
class Holder:
    """The process that holds a lease.

    Attributes:
        worker: The command that it belongs to, see :func:`worker_name`.
        machine: Identifies the running system; locks of the operating system are visible in it.
        token: Distinguishes leases of one process.
    """

    worker: str = "a process that is just starting"
    machine: str = ""
    token: str = ""


class Lease:
    """A lease that this process holds: a file, renewed by a thread until it is released."""

    def __init__(self, path: Path, holder: Holder) -> None:
        self.path = path
        self.holder = holder
        self._ended = threading.Event()
        threading.Thread(target=self._keep_renewing, daemon=True, name="lease").start()

    def _keep_renewing(self) -> None:
        while not self._ended.wait(RENEWED_EVERY):
            with suppress(OSError):  # the file system may be out of reach for a while
                found = _read(self.path)
                if found is not None and found[0].token != self.holder.token:
                    log.warning(
                        "%s was not renewed in time, e.g. because this process was suspended; %s "
                        "has taken over and may do the same work", self.path, found[0].worker,
                    )  # fmt: skip
                    return
                os.utime(self.path)  # the time of the file server, where there is one

    def release(self) -> None:
        """Remove the file, unless another process has taken over."""
        self._ended.set()
        with suppress(OSError):
            found = _read(self.path)
            if found is not None and found[0].token == self.holder.token:
                self.path.unlink()


def lease_path(lock: Path) -> Path:
    """Return the file of the lease that belongs to a lock file."""
    return lock.with_name(f"{lock.name}.lease")


def take(path: Path, has_system_lock: bool) -> Lease | None:
    """Return a new lease, None if another process holds it.

    Args:
        path: The file of the lease.
        has_system_lock: Whether the caller holds the operating system's lock. If so, a lease of
            this machine is that of a process that has ended.

    Raises:
        OSError: If the file cannot be written.
    """
    own = Holder(worker_name(), machine(), uuid.uuid4().hex)
    for _ in range(3):
        try:
            # Fails if the file exists, also between machines that share it by NFS.
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            found = _read(path)
            if found is not None and not _is_dead(path, *found, has_system_lock):
                return None
            _remove_dead(path, found[0] if found else None)
            continue
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(asdict(own), file)
        return Lease(path, own)
    return None


def is_held(path: Path, has_system_lock: bool) -> bool:
    """Whether the lease is that of a process that is alive; see :func:`take`."""
    try:
        found = _read(path)
    except OSError:
        return False
    return found is not None and not _is_dead(path, *found, has_system_lock)


def written_by(path: Path) -> Holder | None:
    """Return the process that wrote the lease, alive or not; None if there is no lease."""
    try:
        found = _read(path)
    except OSError:
        return None
    return found[0] if found else None


def worker_name() -> str:
    """Return the name of the command that this process belongs to, ``<host>-<process>``."""
    return os.environ.get(_WORKER) or f"{socket.gethostname()}-{os.getpid()}"


def name_worker() -> None:
    """Give a command's name to this process and to those that it starts."""
    os.environ.pop(_WORKER, None)
    os.environ[_WORKER] = worker_name()


@cache
def machine() -> str:
    """Return an identifier of the running system, another one after every boot."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return f"{socket.gethostname()}-{uuid.getnode()}"


def _read(path: Path) -> tuple[Holder, float] | None:
    """Return the holder of a lease and the time of its last renewal, None if there is no lease.

    The file is opened, as NFS shows the times of an unopened file with a delay of up to a minute.
    """
    try:
        with path.open(encoding="utf-8") as file:
            renewed, text = os.fstat(file.fileno()).st_mtime, file.read()
    except FileNotFoundError:
        return None
    try:
        return Holder(**json.loads(text)), renewed
    except (ValueError, TypeError):  # it is being written
        return Holder(), renewed


def _is_dead(path: Path, found: Holder, renewed: float, has_system_lock: bool) -> bool:
    if has_system_lock and found.machine == machine():
        return True
    return _clock(path.parent) - renewed > DEAD_AFTER


def _clock(folder: Path) -> float:
    """Return the time of the file system, which may be that of another machine."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"now")
            file.flush()
            os.fsync(file.fileno())
            return os.fstat(file.fileno()).st_mtime
    except OSError:  # a read-only folder
        return time.time()


def _remove_dead(path: Path, dead: Holder | None) -> None:
    """Remove the lease of a dead process, and not one that has replaced it meanwhile."""
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    with suppress(FileNotFoundError):  # another process removed it
        path.rename(aside)
        found = _read(aside)
        if found is not None and dead is not None and found[0].token != dead.token:
            with suppress(OSError):
                os.link(aside, path)
        aside.unlink()
