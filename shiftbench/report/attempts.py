"""Error handling of figures: one that cannot be drawn gives a warning, not a failed run."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from shiftbench.runtime.failures import reason_of

log = logging.getLogger(__name__)


@contextmanager
def attempt(what: str, passing: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Log one warning that names ``what``, e.g. ``figures/layers.png``, if the block raises.

    Ctrl-C and SIGTERM are not errors and propagate.

    Args:
        what: Name of the figure or file in the warning.
        passing: Exception types that propagate nevertheless.
    """
    try:
        yield
    except passing:
        raise
    except Exception as error:
        log.debug("%s", what, exc_info=True)
        log.warning("%s could not be made (%s)", what, reason_of(error))
