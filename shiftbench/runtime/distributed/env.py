"""Which of the processes of one command this is, as torchrun tells them; no torch."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from pathlib import Path

# All of what torchrun sets: a WORLD_SIZE left behind by something else makes no team.
_TOLD = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def count() -> int:
    """Return how many processes share the work; 1 for a plain command."""
    return _number("WORLD_SIZE", 1)


def rank() -> int:
    """Return the place of this process among them."""
    return _number("RANK", 0)


def local_rank() -> int:
    """Return its place among the processes of this machine."""
    return _number("LOCAL_RANK", 0)


def local_count() -> int:
    """Return how many of them run on this machine."""
    return _number("LOCAL_WORLD_SIZE", 1)


def is_first() -> bool:
    """Whether this is the process that decides, writes and speaks; the others only work."""
    return rank() == 0


def leave_reason(sentence: str) -> None:
    """Put ``sentence`` where torchrun's closing summary looks for the cause of a failure."""
    if path := os.environ.get("TORCHELASTIC_ERROR_FILE"):
        about = {"timestamp": str(int(time.time()))}
        content = {"message": {"message": sentence, "extraInfo": about}}
        with suppress(OSError):
            Path(path).write_text(json.dumps(content), encoding="utf-8")


def _number(name: str, alone: int) -> int:
    if any(key not in os.environ for key in _TOLD):
        return alone
    return int(os.environ[name])
