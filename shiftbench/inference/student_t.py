"""Student's t distribution, for any number of degrees of freedom."""

from __future__ import annotations

import math
from functools import lru_cache

from shiftbench.errors import UsageError

MOST_TERMS = 500  # of the continued fraction; a dozen are enough nearly everywhere
SMALLEST = 1e-300


def t_between(t: float, degrees: float) -> float:
    """Return the probability that Student's t lies between ``-t`` and ``t``.

    I_x(1/2, ν/2) with x = t² / (ν + t²), in the tails by its complement (Abramowitz & Stegun,
    Handbook of Mathematical Functions, 1964, 26.7.1).

    >>> round(t_between(12.706204736432095, 1), 9)
    0.95
    """
    if math.isinf(degrees):
        return math.erf(t / math.sqrt(2))
    if t * t < degrees:
        return _beta_share(t * t / (degrees + t * t), 0.5, degrees / 2)
    return 1.0 - _beta_share(degrees / (degrees + t * t), degrees / 2, 0.5)


@lru_cache(maxsize=4096)
def t_quantile(confidence: float, degrees: float) -> float:
    """Return the ``t`` with ``t_between(t, degrees) == confidence``.

    Args:
        confidence: Between 0 and 1.
        degrees: Of freedom, above 0; infinity for the normal distribution.

    Raises:
        UsageError: If either is out of its range.

    >>> round(t_quantile(0.95, 2), 6), round(t_quantile(0.95, 2.5), 6)
    (4.302653, 3.574655)
    """
    if not 0 < confidence < 1 or not degrees > 0:
        raise UsageError(
            f"t_quantile takes a confidence between 0 and 1 and more than 0 degrees of freedom, "
            f"got {confidence} and {degrees}"
        )
    low, high = 0.0, 1.0
    while t_between(high, degrees) < confidence:
        low, high = high, 2 * high
    t = high
    # Newton's steps, and halving where one would leave the bracket.
    for _ in range(200):
        missing = confidence - t_between(t, degrees)
        low, high = (t, high) if missing > 0 else (low, t)
        step = missing / (2 * _density(t, degrees))
        t, before = t + step, t
        if not low < t < high:
            t = (low + high) / 2
        if abs(t - before) <= 1e-13 * t:
            break
    return t


def _density(t: float, degrees: float) -> float:
    """Return the density of Student's t at ``t``, never 0."""
    if math.isinf(degrees):
        return max(math.exp(-t * t / 2) / math.sqrt(2 * math.pi), SMALLEST)
    front = math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2)
    front -= math.log(degrees * math.pi) / 2
    fall = math.log1p(t * t / degrees) * (degrees + 1) / 2
    return max(math.exp(front - fall), SMALLEST)


def _beta_share(x: float, a: float, b: float) -> float:
    """Return the regularised incomplete beta function I_x(a, b)."""
    if x <= 0 or x >= 1:
        return min(max(x, 0.0), 1.0)
    # The continued fraction converges fast on one side; I_x(a, b) = 1 - I_1-x(b, a).
    if x > (a + 1) / (a + b + 2):
        return 1.0 - _beta_share(1 - x, b, a)
    front = a * math.log(x) + b * math.log1p(-x) - math.log(a)
    front += math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    return math.exp(front) / _fraction(x, a, b)


def _fraction(x: float, a: float, b: float) -> float:
    """Return 1 + d1/(1 + d2/(1 + ...)) of DLMF 8.17.22, by the method of Lentz."""
    value, c, d = 1.0, 1.0, 0.0
    for index in range(1, MOST_TERMS):
        term = _coefficient(index, x, a, b)
        d = 1.0 / _away_from_0(1.0 + term * d)
        c = _away_from_0(1.0 + term / c)
        value *= c * d
        if abs(c * d - 1.0) < 1e-15:
            break
    return value


def _coefficient(index: int, x: float, a: float, b: float) -> float:
    half, odd = divmod(index, 2)
    if odd:
        return -(a + half) * (a + b + half) * x / ((a + 2 * half) * (a + 2 * half + 1))
    return half * (b - half) * x / ((a + 2 * half - 1) * (a + 2 * half))


def _away_from_0(number: float) -> float:
    return number if abs(number) > SMALLEST else SMALLEST
