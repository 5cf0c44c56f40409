"""Taps of low-pass filters along one axis, each summing to 1: binomial, and those of wavelets.

The wavelets are those of WaveCNet (Li et al., arXiv 2005.03337, sec. 3), whose layer filters with
the low-pass of the *reconstruction*: ``chx.y`` is the spline wavelet of Cohen, Daubechies &
Feauveau (1992), called ``biorx.y`` elsewhere. Divided by √2 and without zeros at the ends, three of
them are filters with older names.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from shiftbench.errors import UsageError, printable, require_one_of

Taps = tuple[float, ...]

MOST_TAPS = 16
_SMALLEST_SUM = 1e-3  # of the taps, as a share of the sum of their absolute values


def binomial(count: int) -> Taps:
    """Return the binomial filter of ``count`` taps.

    >>> binomial(3)
    (0.25, 0.5, 0.25)
    """
    return tuple(math.comb(count - 1, i) / 2 ** (count - 1) for i in range(count))


def _daubechies_2() -> Taps:
    """Return the four taps with two zeros at the Nyquist frequency (Daubechies 1988, sec. 4)."""
    root = math.sqrt(3)
    return (1 + root) / 8, (3 + root) / 8, (3 - root) / 8, (1 - root) / 8


CH44_ROOT = -0.3423840948583691
"""The real root of 20y³ + 10y² + 4y + 1, the part of a maximally flat half-band filter of order 4
that is left of four zeros at the Nyquist frequency on either side (Daubechies 1992, sec. 8.3)."""


def _cohen_44() -> Taps:
    """Return the seven taps of cos⁴(ω/2) · (1 − sin²(ω/2) / root)."""
    side = 1 / (4 * CH44_ROOT)  # sin²(ω/2) = (2 − z − 1/z) / 4
    return _convolved(binomial(5), (side, 1 - 2 * side, side))


def _convolved(first: Taps, second: Taps) -> Taps:
    found = [0.0] * (len(first) + len(second) - 1)
    for i, a in enumerate(first):
        for j, b in enumerate(second):
            found[i + j] += a * b
    return tuple(found)


_WAVELETS: dict[str, Callable[[], Taps]] = {
    "haar": lambda: binomial(2),  # average pooling
    "db2": _daubechies_2,
    "ch2.2": lambda: binomial(3),  # Zhang's Tri-3
    "ch3.3": lambda: binomial(4),
    "ch4.4": _cohen_44,  # the synthesis filter of JPEG 2000's 9/7 wavelet
}
WAVELETS = tuple(_WAVELETS)


def taps_of(key: str, given: str | Sequence[float]) -> Taps:
    """Return the taps of a wavelet, or a list of numbers divided by its sum.

    >>> taps_of("pool.taps", [1, 3, 3, 1]) == taps_of("pool.taps", "ch3.3")
    True

    Args:
        key: The setting, for errors.
        given: ``haar``, ``db2``, ``ch2.2``, ``ch3.3``, ``ch4.4``, or 1 to 16 numbers.

    Raises:
        UsageError: If the name is unknown, or the numbers are no low-pass filter.
    """
    if isinstance(given, str):
        require_one_of(key, given, WAVELETS)
        return _WAVELETS[given]()
    total, size = sum(given), sum(map(abs, given))
    if not 1 <= len(given) <= MOST_TAPS or abs(total) <= _SMALLEST_SUM * size:
        raise UsageError(
            f"{key}={printable(list(given))} is not a low-pass filter; give 1 to {MOST_TAPS} "
            f"numbers whose sum is not 0, e.g. [1,3,3,1], or one of {', '.join(WAVELETS)}"
        )
    return tuple(tap / total for tap in given)
