"""The provenance of a result: command, versions, machine, commit."""

from __future__ import annotations

import datetime
import platform
import sys
from functools import cache
from pathlib import Path
from typing import Any

from shiftbench import __version__
from shiftbench.runs.commit import commit
from shiftbench.runtime.distributed import world

PACKAGES = ("torch", "torchvision", "hydra-core", "omegaconf", "numpy", "pandas")


def provenance() -> dict[str, Any]:
    """Return the provenance of a result that is computed now."""
    return {
        "time": now(),
        "command": ["shiftbench", *sys.argv[1:]],
        "processes": world().size,
        **_surroundings(),
    }


def now() -> str:
    """Return the current time in UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


@cache  # the same for every job of a sweep, and calling git is slow
def _surroundings() -> dict[str, Any]:
    return {
        "shiftbench": __version__,
        "commit": commit(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "machine": {"system": platform.platform(), "processor": _processor()},
    }


def _version(package: str) -> str | None:
    from importlib import metadata  # late, as it takes a tenth of the time of an empty command

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
