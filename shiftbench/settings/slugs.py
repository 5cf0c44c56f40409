"""Names of folders: readable slugs, and short hashes of what they stand for."""

from __future__ import annotations

import hashlib
import re

from shiftbench.settings.schema import NOT_IDENTITY


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

    The settings that vary are readable in it; all arguments are part of its hash.

    >>> sweep_id(["-m", "seed=3", "pool=max,blur", "out=elsewhere"])
    'pool-max-blur-d5cb9923'
    """
    given = [item for item in arguments if "=" in item and not item.startswith(("-", "hydra"))]
    overrides = [item for item in given if item.split("=")[0] not in NOT_IDENTITY]
    swept = [item for item in overrides if "," in item or item.startswith("experiment=")]
    readable = slug(" ".join(swept or overrides))[:60].rstrip("-.")
    return f"{readable or 'default'}-{short_hash(' '.join(sorted(overrides)))}"
