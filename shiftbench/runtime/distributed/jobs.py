"""The jobs of a command, which its processes take on together; torch is imported when needed."""

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
    """What the processes of one command know of its jobs; counted alike in every process.

    Attributes:
        begun: How many jobs there were.
        board: The messages of the current one, None for a plain command.
        stuck: A failure that some process did not acknowledge, so that no other job can begin.
    """

    def __init__(self) -> None:
        self.begun = 0
        self.board: Board | None = None
        self.stuck: Failure | None = None

    @contextmanager
    def leading(self) -> Iterator[None]:
        """Let the other processes wait for what this one, the first, decides about a job.

        Within the block it may enter :meth:`team`, or it runs nothing.
        """
        if world().size == 1:
            yield
            return
        board = self._next_board()
        try:
            yield
        finally:
            board.write("decision", None)  # read by now, if there was another

    def decision(self) -> str | None:
        """Return the run that the first process begins, None if none; for the others."""
        run_id: str | None = self._next_board().read("decision")
        return run_id

    @contextmanager
    def team(self, run_id: str) -> Iterator[Team]:
        """Yield the processes that share the run; the failure of one is the failure of all.

        Raises:
            ShiftbenchError: In the first process, with the reason of the process that failed
                first. The others proceed to the next job in silence.
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
