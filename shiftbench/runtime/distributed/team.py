"""One run in several processes: division of the work and handling of failures."""

from __future__ import annotations

import logging
import os
import re
import socket
import stat
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.distributed_c10d import PrefixStore
from torch.nn.parallel import DistributedDataParallel

from shiftbench.errors import ShiftbenchError, UsageError
from shiftbench.runtime.distributed.env import World, leave_reason
from shiftbench.runtime.distributed.messages import Board, Failure
from shiftbench.runtime.distributed.sync_batch_norm import whole_batches
from shiftbench.runtime.failures import reason_of

log = logging.getLogger(__name__)

T = TypeVar("T")

_CUT_OFF = r"Connection (closed|reset) by peer|NCCL"


class Team:
    """The processes of one job; this base class is a single process.

    Attributes:
        rank: The rank of this process.
        size: The number of processes.
    """

    rank = 0
    size = 1

    @property
    def is_first(self) -> bool:
        """Whether this process makes decisions, writes files and reports."""
        return self.rank == 0

    def connect(self, device: torch.device) -> None:
        """Connect all processes for tensors on ``device``; wait for every process."""

    def check(self) -> None:
        """Raise the failure of another process, if there is one."""

    def share(self, count: int) -> range:
        """Return the contiguous share of ``count`` items that this process handles."""
        return range(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def broadcast(self, value: T) -> T:
        """Return the first process's ``value``, without a timeout."""
        return value

    def gather(self, value: T) -> list[T]:
        """Return the ``value`` of every process, in order, on rank 0; an empty list on others."""
        return [value]

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum of the ``values`` of every process."""
        return values

    @contextmanager
    def training(self, model: nn.Module) -> Iterator[nn.Module]:
        """Yield ``model`` such that its gradients are the mean over the processes."""
        yield model


class _Together(Team):
    """Several processes, connected by gloo, or by nccl on CUDA."""

    def __init__(self, board: Board) -> None:
        self.rank, self.size = board.world.rank, board.world.size
        self.board = board
        self.device = torch.device("cpu")
        self.lines: set[int] = set()

    def connect(self, device: torch.device) -> None:
        self.device = device
        backend = "gloo"
        if device.type == "cuda":
            torch.cuda.set_device(device)
            backend = "cpu:gloo,cuda:nccl"
        self.board.meet()  # collectives time out after minutes, and a process may be later
        store, before = PrefixStore("group", self.board.store), _sockets()
        dist.init_process_group(backend, store=store, rank=self.rank, world_size=self.size)
        self.lines = _sockets() - before

    def hang_up(self) -> None:
        """Abort the gloo collectives in which other processes wait, with an error.

        Destroying the group is not sufficient, as DistributedDataParallel keeps it alive.
        """
        for line in self.lines:
            with suppress(OSError), socket.socket(fileno=os.dup(line)) as end:
                end.getpeername()  # fails for the socket that gloo listens on
                end.shutdown(socket.SHUT_RDWR)
        self.lines.clear()

    def disconnect(self) -> None:
        """Leave the group."""
        if dist.is_initialized():
            dist.destroy_process_group()

    def check(self) -> None:
        self.board.check()

    def broadcast(self, value: T) -> T:
        self.board.meet()
        values = [value if self.is_first else None]
        dist.broadcast_object_list(values, device=torch.device("cpu"))
        return values[0]  # type: ignore[return-value]

    def gather(self, value: T) -> list[T]:
        self.board.meet()
        values: list[Any] | None = [None] * self.size if self.is_first else None
        dist.gather_object(value, values)
        return values or []

    def sum(self, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @contextmanager
    def training(self, model: nn.Module) -> Iterator[nn.Module]:
        ids = [self.device.index] if self.device.type == "cuda" else None
        with whole_batches(model, self.device), warnings.catch_warnings():
            # Raised for 1×1 convolutions in channels-last memory; it only costs a copy.
            warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
            # With a static graph, unused parameters are not an error.
            yield DistributedDataParallel(model, device_ids=ids, static_graph=True)


def _sockets() -> set[int]:
    """Return the descriptors of this process's open sockets."""
    found = set()
    for descriptor in range(4096):
        with suppress(OSError):
            if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                found.add(descriptor)
    return found


@contextmanager
def connected(board: Board, run_id: str, on_stuck: Callable[[Failure], None]) -> Iterator[Team]:
    """Yield the processes of a job, see :meth:`SharedJobs.team`.

    Args:
        board: The job's messages.
        run_id: The run; the first process sends it to the others.
        on_stuck: Called with a failure that some process did not acknowledge.
    """
    together = _Together(board)
    try:
        if together.is_first:
            board.write("decision", run_id)
        yield together
        board.meet()
    except Exception as error:
        failure = board.report(_failure(error, board.world))
        _spread(failure, together, on_stuck)
        if together.is_first and failure.rank == 0:
            raise
        if together.is_first:
            log.debug("%s", failure.traceback)
            raise failure.error() from error
    finally:
        together.disconnect()


def _failure(error: Exception, world: World) -> Failure:
    rank = world.rank
    if isinstance(error, ShiftbenchError):
        return Failure(rank, str(error), isinstance(error, UsageError))
    reason = f"{reason_of(error)} (rank {rank} of {world.size})"
    if isinstance(error, RuntimeError) and re.search(_CUT_OFF, str(error)):
        reason = "another process ended without a word; the usual cause is too little memory"
    return Failure(rank, reason, False, traceback.format_exc())


def _spread(failure: Failure, together: _Together, on_stuck: Callable[[Failure], None]) -> None:
    """Propagate the failure to every process; if the first one is stuck, report it instead."""
    together.hang_up()
    if together.board.all_acknowledged():
        return
    on_stuck(failure)
    if not together.is_first and not together.board.has_acknowledged(0):
        print(f"shiftbench: {failure.reason}", file=sys.stderr, flush=True)
        leave_reason(failure.reason)
        os._exit(1)  # torchrun then ends the others; an orderly exit might wait for them
