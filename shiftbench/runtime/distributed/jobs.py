"""The jobs of a command, shared by its processes; torch is imported when needed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from shiftbench.errors import ShiftbenchError
from shiftbench.runtime.distributed.env import world

if TYPE_CHECKING:
    from shiftbench.runtime.distributed.messages import Board, Failure
    from shiftbench.runtime.distributed.team import Team


class SharedJobs:
    """The shared state of a command's jobs, which are counted identically in every process.

    Attributes:
        begun: Number of jobs so far.
        board: The messages of the current job, None for a plain command.
        stuck: A failure that some process did not acknowledge, so that no other job can begin.
    """

    def __init__(self) -> None:
        self.begun = 0
        self.board: Board | None = None
        self.stuck: Failure | None = None

    @contextmanager
    def leading(self) -> Iterator[None]:
        """Let the other processes wait while this one, the first, decides about a job.

        Within the block it either enters :meth:`team` or runs nothing.
        """
        if world().size == 1:
            yield
            return
        board = self._next_board()
        try:
            yield
        finally:
            board.write("decision", None)  # an earlier decision has been read by now

    def decision(self) -> str | None:
        """Return the run that the first process begins, or None; called by the other processes."""
        run_id: str | None = self._next_board().read("decision")
        return run_id

    @contextmanager
    def team(self, run_id: str) -> Iterator[Team]:
        """Yield the processes that share the run; if one fails, all of them abort the run.

        Raises:
            ShiftbenchError: In the first process, with the reason of the process that failed
                first. The others proceed to the next job without output.
        """
        from shiftbench.runtime.distributed.team import Team, connected

        if self.board is None:
            yield Team()
            return
        if self.stuck:
            raise ShiftbenchError(
                f"not started, as a process hangs after this: {self.stuck.reason}"
            )
        with connected(self.board, run_id, on_stuck=self._is_stuck) as together:
            yield together

    def _next_board(self) -> Board:
        from shiftbench.runtime.distributed.messages import Board

        self.begun += 1
        self.board = Board(self.begun)
        return self.board

    def _is_stuck(self, failure: Failure) -> None:
        self.stuck = failure
