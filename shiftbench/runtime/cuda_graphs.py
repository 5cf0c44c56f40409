"""What captures of a CUDA graph have in common."""

from __future__ import annotations

from collections.abc import Callable

import torch

from shiftbench.errors import printable


def on_side_stream(work: Callable[[], object]) -> None:
    """Run ``work`` on another stream and wait for it, as torch requires before a capture."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        work()
    torch.cuda.current_stream().wait_stream(stream)
    torch.cuda.synchronize()


def in_one_line(error: Exception) -> str:
    """Return the reason why a capture failed, at most 300 characters."""
    return printable(" ".join(str(error).split()) or type(error).__name__, 300)
