"""A named part of a run: its duration in the log, and advice if it runs out of memory."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from omegaconf import DictConfig, OmegaConf

from shiftbench.errors import ShiftbenchError
from shiftbench.runtime.failures import is_out_of_memory

log = logging.getLogger(__name__)


@contextmanager
def phase(what: str, config: DictConfig, *knobs: str) -> Iterator[None]:
    """Log the duration of a part; if it runs out of memory, name settings that reduce its use."""
    started = time.perf_counter()
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        settings = {knob: OmegaConf.select(config, knob) for knob in knobs}
        known = [
            f"{knob} (now {value})"
            for knob, value in settings.items()
            if value not in (None, "auto")  # the engine itself lowers what is automatic
        ]
        advice = f"; lower {' or '.join(known)}" if known else ""
        raise ShiftbenchError(f"out of memory while {what}{advice}") from error
    log.info("%s took %.1f s", what, time.perf_counter() - started)
