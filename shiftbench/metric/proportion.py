"""Exact and near-exact intervals of a share of images."""

from __future__ import annotations

import math
from statistics import NormalDist

_NORMAL = NormalDist()


def unseen_share(number: int, confidence: float = 0.95, seen: int = 0) -> float:
    """The largest share of images of which plausibly none is among ``number`` images drawn.

    A share p is missing with chance (1 − p)^number; the p for which that is half of what the
    confidence leaves: the end of the exact interval of Clopper & Pearson (1934) for none among
    ``number``, about 3.7 / number (the rule of three, one-sided, is 3 / number). With ``seen=1``
    the end for one image among ``number``, about 5.6 / number.

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
    """The interval of a share of which ``count`` among ``number`` images were seen.

    Wilson (JASA 22, 1927). Where ``count`` is 1, 2 or (from 51 images on) 3, Wilson's lower end is
    too high (its coverage falls to 0.84) and that of Brown, Cai & DasGupta (Statistical Science 16,
    2001, section 4.1.1), from the Poisson distribution, is taken; at the other end likewise.

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
    """The lower end of a share of which few among ``number`` images were seen; None for more.

    Few are 1, 2 and, from 51 images on, 3.

    >>> least_share(3, 30), round(least_share(2, 30) or 0, 4)
    (None, 0.0118)
    """
    few = 2 if number <= 50 else 3
    return _rate(count, 1 - confidence) / number if 0 < count <= few else None


def _rate(count: int, chance: float) -> float:
    """The Poisson rate under which ``count`` or more events have this chance."""
    low, high = 0.0, float(count)
    for _ in range(60):
        middle = (low + high) / 2
        fewer = sum(middle**k / math.factorial(k) for k in range(count)) * math.exp(-middle)
        low, high = (middle, high) if 1 - fewer < chance else (low, middle)
    return low
