"""One run over several processes: who does what, and one failure for all.

``torchrun --nproc-per-node 2 -m shiftbench ...`` starts the same command twice. The first process
decides, writes and speaks; the others follow it from job to job and do their share of the images.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import stat
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.distributed_c10d import PrefixStore
from torch.nn.parallel import DistributedDataParallel

from shiftbench import processes
from shiftbench.batch_norm import whole_batches
from shiftbench.board import Board, Failure
from shiftbench.errors import ShiftbenchError, UsageError
from shiftbench.runtime.failures import reason_of

log = logging.getLogger(__name__)

T = TypeVar("T")

_CUT_OFF = r"Connection (closed|reset) by peer|NCCL"


class Team:
    """The processes of one job: here a single one, which does everything.

    Attributes:
        rank: The place of this process.
        size: How many there are.
    """

    rank = 0
    size = 1

    @property
    def is_first(self) -> bool:
        """Whether this process decides, writes and speaks."""
        return self.rank == 0

    def connect(self, device: torch.device) -> None:
        """Make tensors on ``device`` travel; wait until every process is there."""

    def check(self) -> None:
        """Raise the failure of another process, if there is one."""

    def share(self, count: int) -> range:
        """Return which of ``count`` things, one after the other, are this process's."""
        return range(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def broadcast(self, value: T) -> T:
        """Return the first process's ``value``; however long it takes to get there."""
        return value

    def gather(self, value: T) -> list[T]:
        """Return the ``value`` of every process, in order, to the first one; others get none."""
        return [value]

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum of the ``values`` of every process."""
        return values

    @contextmanager
    def training(self, model: nn.Module) -> Iterator[nn.Module]:
        """Yield ``model`` such that its gradients are the mean over the processes."""
        yield model


class _Together(Team):
    """Several processes, connected by gloo, or by nccl where the work is on CUDA."""

    def __init__(self, board: Board) -> None:
        self.rank, self.size = processes.rank(), processes.count()
        self.board = board
        self.device = torch.device("cpu")
        self.lines: set[int] = set()

    def connect(self, device: torch.device) -> None:
        self.device = device
        backend = "gloo"
        if device.type == "cuda":
            torch.cuda.set_device(device)
            backend = "cpu:gloo,cuda:nccl"
        self.board.meet()  # collectives wait for minutes only, and one process may be far behind
        store, before = PrefixStore("group", self.board.store), _sockets()
        dist.init_process_group(backend, store=store, rank=self.rank, world_size=self.size)
        self.lines = _sockets() - before

    def hang_up(self) -> None:
        """End, with an error, the gloo collectives that other processes wait in.

        Destroying the group would do, were it not that DistributedDataParallel keeps it alive.
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
        with whole_batches(model), warnings.catch_warnings():
            # 1×1 convolutions in channels-last memory; it costs a copy.
            warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
            # The graph being static, a parameter that a network does not use is no error.
            yield DistributedDataParallel(model, device_ids=ids, static_graph=True)


def _sockets() -> set[int]:
    """Return the descriptors of this process's open sockets."""
    found = set()
    for descriptor in range(4096):
        with suppress(OSError):
            if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                found.add(descriptor)
    return found


# The messages of the jobs so far, the current job's last; counted alike in every process.
_boards: list[Board] = []
_stuck: list[Failure] = []  # failures that some process did not hear of


@contextmanager
def deciding() -> Iterator[None]:
    """Let the other processes wait for what the first one decides about a job.

    For the first process: within the block it may enter :func:`team`, or it runs nothing.
    """
    board = Board(len(_boards) + 1)
    _boards.append(board)
    try:
        yield
    finally:
        board.write("decision", None)  # read by now, if there was another


def decision() -> str | None:
    """Return the run that the first process begins, None if it runs nothing; for the others."""
    _boards.append(Board(len(_boards) + 1))
    run_id: str | None = _boards[-1].read("decision")
    return run_id


@contextmanager
def team(run_id: str) -> Iterator[Team]:
    """Yield the processes that share the run; the failure of one is the failure of all.

    The first process raises it, with the reason of the process that failed first; the others go
    on to the next job in silence.
    """
    if processes.count() == 1:
        yield Team()
        return
    if _stuck:
        raise ShiftbenchError(f"not started, as a process hangs after this: {_stuck[0].reason}")
    board = _boards[-1]
    together = _Together(board)
    try:
        if together.is_first:
            board.write("decision", run_id)
        yield together
        board.meet()
    except Exception as error:
        failure = board.report(_failure(error))
        _spread(failure, together)
        if together.is_first and failure.rank == 0:
            raise
        if together.is_first:
            log.debug("%s", failure.traceback)
            raise failure.error() from error
    finally:
        together.disconnect()


def _failure(error: Exception) -> Failure:
    rank, count = processes.rank(), processes.count()
    if isinstance(error, ShiftbenchError):
        return Failure(rank, str(error), isinstance(error, UsageError))
    reason = f"{reason_of(error)} (rank {rank} of {count})"
    if isinstance(error, RuntimeError) and re.search(_CUT_OFF, str(error)):
        reason = "another process ended without a word; the usual cause is too little memory"
    return Failure(rank, reason, False, traceback.format_exc())


def _spread(failure: Failure, together: _Together) -> None:
    """See to it that every process hears of the failure; if the first cannot, speak for it."""
    together.hang_up()
    if together.board.heard():
        return
    _stuck.append(failure)
    if not together.is_first and not together.board.knows(0):
        print(f"shiftbench: {failure.reason}", file=sys.stderr, flush=True)
        processes.leave_reason(failure.reason)
        os._exit(1)  # torchrun then ends the others; an orderly exit might wait for them
