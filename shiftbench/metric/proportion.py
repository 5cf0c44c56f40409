"""Exact and near-exact intervals of a share of images."""

from __future__ import annotations

import math
from statistics import NormalDist

_NORMAL = NormalDist()


def unseen_share(number: int, confidence: float = 0.95, seen: int = 0) -> float:
    """Return the largest plausible share of images of which none is among ``number`` drawn.

    Images with a share p are absent with probability (1 − p)^number. Setting this to
    (1 − confidence) / 2 gives the upper end of the exact interval of Clopper & Pearson (1934) for a
    count of 0, about 3.7 / number (the one-sided rule of three is 3 / number). With ``seen=1``, it
    is the upper end for a count of 1, about 5.6 / number.

    >>> round(unseen_share(30), 4), round(unseen_share(30, seen=1), 4)
    (0.1157, 0.1722)
    """
    tail = (1 - confidence) / 2
    if seen == 0:
        return float(1 - tail ** (1 / number))
    low, high = 0.0, 1.0
    for _ in range(60):
        share = (low + high) / 2
        at_most_one = (1 - share) ** number + number * share * (1 - share) ** (number - 1)
        low, high = (share, high) if at_most_one > tail else (low, share)
    return low


def wilson(count: int, number: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the interval of a share that was observed as ``count`` among ``number`` images.

    Wilson (JASA 22, 1927). If ``count`` is 1, 2 or (for more than 50 images) 3, Wilson's lower end
    is too high (coverage falls to 0.84) and is replaced by that of Brown, Cai & DasGupta
    (Statistical Science 16, 2001, section 4.1.1), which uses the Poisson distribution. The upper
    end is treated symmetrically.

    >>> [round(end, 4) for end in wilson(15, 30)]
    [0.3315, 0.6685]
    >>> [round(end, 4) for end in wilson(1, 30)]  # Wilson's would begin at 0.0059
    [0.0017, 0.1667]
    """
    squared = _NORMAL.inv_cdf((1 + confidence) / 2) ** 2
    share = count / number
    centre = (share + squared / (2 * number)) / (1 + squared / number)
    spread = share * (1 - share) / number + squared / (4 * number**2)
    half = math.sqrt(squared * spread) / (1 + squared / number)
    low = least_share(count, number, confidence) or centre - half
    high = 1 - (least_share(number - count, number, confidence) or 1 - centre - half)
    return max(low, 0.0), min(high, 1.0)


def least_share(count: int, number: int, confidence: float = 0.95) -> float | None:
    """Return the lower end of the interval of a share for a small ``count``, otherwise None.

    Counts of 1, 2 and, for more than 50 images, 3 are small.

    >>> least_share(3, 30), round(least_share(2, 30) or 0, 4)
    (None, 0.0118)
    """
    few = 2 if number <= 50 else 3
    return _rate(count, 1 - confidence) / number if 0 < count <= few else None


def _rate(count: int, chance: float) -> float:
    """Return the Poisson rate for which ``count`` or more events have probability ``chance``."""
    low, high = 0.0, float(count)
    for _ in range(60):
        middle = (low + high) / 2
        fewer = sum(middle**k / math.factorial(k) for k in range(count)) * math.exp(-middle)
        low, high = (middle, high) if 1 - fewer < chance else (low, middle)
    return low
