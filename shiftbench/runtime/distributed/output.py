"""Output of several processes as if from one; without torch."""

from __future__ import annotations

import sys
import time
import warnings

from shiftbench.errors import FAILED, USAGE
from shiftbench.runtime.distributed.env import leave_reason, world
from shiftbench.runtime.streams import discard_stdout

SAME_FAILURE = 20  # seconds within which two failures are taken to have the same reason


def silence_follower() -> None:
    """Silence output on ranks > 0; only errors raised there are printed."""
    if not world().is_first:
        discard_stdout()
        warnings.simplefilter("ignore")


def leave_failure(sentence: str, code: int) -> None:
    """Prepare this process to report a failure and to exit with ``code``.

    A process of rank > 0 waits for the first one to fail in the same way, upon which torchrun ends
    this one. The function returns there only if the failure is rank-local.
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
