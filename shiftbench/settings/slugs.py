"""Names of folders: readable slugs, and short hashes of what they stand for."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from shiftbench.settings.schema import NOT_IDENTITY

SWEEP_NAME = "SHIFTBENCH_SWEEP"  # the variable that configs/config.yaml reads


def short_hash(text: str) -> str:
    """Return the first eight hexadecimal digits of the SHA-256 of ``text``."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def slug(text: str) -> str:
    """Return ``text`` with all characters special to shells or file systems replaced by ``-``.

    >>> slug("pool=max,blur  seed=0")
    'pool-max-blur-seed-0'
    """
    return re.sub(r"[^A-Za-z0-9._]+", "-", text).strip("-.")


def sweep_id(arguments: list[str]) -> str:
    """Return a deterministic folder name for the sweep of a command.

    The settings that vary are readable in it; all arguments are part of its hash. Their order is
    not: it is not a part of the name.

    >>> sweep_id(["-m", "seed=3", "pool=max,blur", "out=elsewhere"])
    'pool-max-blur-d5cb9923'
    >>> sweep_id(["-m", "seed=0,1", "pool=max"]) == sweep_id(["-m", "pool=max", "seed=0,1"])
    True
    """
    given = [item for item in arguments if "=" in item and not item.startswith(("-", "hydra"))]
    overrides = sorted(item for item in given if item.split("=")[0] not in NOT_IDENTITY)
    swept = [item for item in overrides if "," in item or item.startswith("experiment=")]
    readable = slug(" ".join(swept or overrides))[:60].rstrip("-.")
    return f"{readable or 'default'}-{short_hash(' '.join(overrides))}"


def known_sweep(sweeps: Path, name: str) -> str:
    """Return the name of the folder that the same sweep has already, ``name`` if it has none.

    Earlier releases named it by the order of the arguments; the hash alone identifies it.
    """
    if (sweeps / name).is_dir():
        return name
    ending = f"-{name.rpartition('-')[2]}"
    try:
        return min(
            (one.name for one in sweeps.iterdir() if one.name.endswith(ending)), default=name
        )
    except OSError:
        return name
