"""Student's t distribution with a whole number of degrees of freedom, exactly."""

from __future__ import annotations

import math
from functools import lru_cache


def t_between(t: float, degrees: int) -> float:
    """Return the probability that Student's t lies between ``-t`` and ``t``.

    The finite sums of Abramowitz & Stegun, Handbook of Mathematical Functions (1964), 26.7.3-4.

    >>> round(t_between(12.706204736432095, 1), 9)
    0.95
    """
    angle = math.atan(t / math.sqrt(degrees))
    squared = math.cos(angle) ** 2
    odd = degrees % 2
    term = math.sin(angle) * (math.cos(angle) if odd else 1.0)
    total = 0.0 if degrees == 1 else term
    for k in range(2 + odd, degrees - 1, 2):
        term *= squared * (k - 1) / k
        total += term
    return 2 / math.pi * (angle + total) if odd else total


@lru_cache(maxsize=256)
def t_quantile(confidence: float, degrees: int) -> float:
    """Return the ``t`` with ``t_between(t, degrees) == confidence``.

    >>> round(t_quantile(0.95, 2), 6)
    4.302653
    """
    low, high = 0.0, 1.0
    while t_between(high, degrees) < confidence:
        high *= 2
    for _ in range(200):  # to the last bit
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if t_between(middle, degrees) < confidence else (low, middle)
    return (low + high) / 2
