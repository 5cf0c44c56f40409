"""Rank and world size of this process, from torchrun's environment variables; without torch."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

# All have to be set: a WORLD_SIZE set by another program does not make this process one of several.
_SET_BY_TORCHRUN = (
    "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT",
)  # fmt: skip


@dataclass(frozen=True)
class World:
    """The rank of a process among those of its command.

    Attributes:
        rank: Its rank, from 0; the process of rank 0 makes decisions, writes files and reports.
        size: The number of processes that share the work; 1 for a plain command.
        local_rank: Its rank among the processes of this machine.
        local_size: The number of processes on this machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process, of rank 0, makes decisions, writes files and reports."""
        return self.rank == 0


def world() -> World:
    """Return rank and world size of this process."""
    if any(key not in os.environ for key in _SET_BY_TORCHRUN):
        return World()
    keys = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    return World(*(int(os.environ[key]) for key in keys))


def leave_reason(sentence: str) -> None:
    """Write ``sentence`` to the file from which torchrun's summary takes the cause of a failure."""
    if path := os.environ.get("TORCHELASTIC_ERROR_FILE"):
        about = {"timestamp": str(int(time.time()))}
        content = {"message": {"message": sentence, "extraInfo": about}}
        with suppress(OSError):
            Path(path).write_text(json.dumps(content), encoding="utf-8")
