"""The log file of a run; without torch."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shiftbench.storage.atomic import cannot_write


@contextmanager
def log_file(path: Path) -> Iterator[None]:
    """Append all messages of the package to ``path`` during the block.

    Raises:
        UsageError: If it cannot be written.
    """
    try:
        handler = logging.FileHandler(path, encoding="utf-8")
    except OSError as error:
        raise cannot_write(path, error) from error
    handler.setLevel(logging.DEBUG)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("shiftbench")
    logger.setLevel(logging.DEBUG)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        handler.close()
