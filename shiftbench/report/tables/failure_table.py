"""The table of failed jobs at the end of a sweep."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console


def print_failures(failures: Sequence[tuple[int, str, str]]) -> None:
    """Print the failed jobs to stderr: number, reason, command to run each again.

    The command is on a line of its own, not wrapped, so that it can be copied.
    """
    console = Console(stderr=True)
    console.print(f"\n{len(failures)} failed, each with the command that runs it again:",
                  highlight=False)  # fmt: skip
    for number, reason, command in failures:
        console.print(f"{number + 1:>4}  {reason}", markup=False, highlight=False, style="red",
                      soft_wrap=True)  # fmt: skip
        console.print(f"      {command}", markup=False, highlight=False, soft_wrap=True)
