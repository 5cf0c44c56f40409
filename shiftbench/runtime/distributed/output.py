"""One voice for all processes of a command; no torch."""

from __future__ import annotations

import sys
import time
import warnings

from shiftbench.errors import FAILED, USAGE
from shiftbench.runtime.distributed.env import leave_reason, world
from shiftbench.runtime.streams import discard_stdout

SAME_FAILURE = 20  # seconds within which two processes fail for the same reason


def silence_follower() -> None:
    """Silence the output of every process but the first; only what is raised in it is printed."""
    if not world().is_first:
        discard_stdout()
        warnings.simplefilter("ignore")


def leave_failure(sentence: str, code: int) -> None:
    """Prepare for this process to report a failure and exit with ``code``.

    A process that is not the first gives that one time to fail in the same way, upon which torchrun
    ends this one. It returns only to report what broke this process alone.
    """
    if not world().is_first:
        _wait_for_the_first(code)
    leave_reason(sentence)


def _wait_for_the_first(code: int) -> None:
    try:
        if code in (FAILED, USAGE):
            time.sleep(SAME_FAILURE)
            return
    except KeyboardInterrupt:
        pass
    sys.exit(code)
