"""Warnings that are logged once in a process, however often their cause occurs."""

from __future__ import annotations

import logging
from functools import cache


@cache
def warn_once(log: logging.Logger, message: str, *values: object) -> None:
    """Log a warning unless it was logged before.

    Args:
        log: The logger.
        message: The sentence, with ``%s`` for values.
        values: Hashable values.
    """
    log.warning(message, *values)
