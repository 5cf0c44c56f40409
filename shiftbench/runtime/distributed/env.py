"""Which of the processes of one command this is, as torchrun's variables say; no torch."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

# All of what torchrun sets: a WORLD_SIZE left behind by something else makes no team.
_SET_BY_TORCHRUN = (
    "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT",
)  # fmt: skip


@dataclass(frozen=True)
class World:
    """The place of a process among those of its command.

    Attributes:
        rank: From 0; the process of rank 0 decides, writes and reports.
        size: How many processes share the work; 1 for a plain command.
        local_rank: Its place among the processes of this machine.
        local_size: How many of them run on this machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process decides, writes and reports; the others only work."""
        return self.rank == 0


def world() -> World:
    """Return the place of this process."""
    if any(key not in os.environ for key in _SET_BY_TORCHRUN):
        return World()
    keys = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    return World(*(int(os.environ[key]) for key in keys))


def leave_reason(sentence: str) -> None:
    """Put ``sentence`` where torchrun's closing summary looks for the cause of a failure."""
    if path := os.environ.get("TORCHELASTIC_ERROR_FILE"):
        about = {"timestamp": str(int(time.time()))}
        content = {"message": {"message": sentence, "extraInfo": about}}
        with suppress(OSError):
            Path(path).write_text(json.dumps(content), encoding="utf-8")
