"""How often k random shifts all leave the answer right, in closed form."""

from __future__ import annotations

import numpy as np

from shiftbench.errors import require_within
from shiftbench.metric.answers import SHIFTS, count_right
from shiftbench.metric.base import Floats, Terms, metric
from shiftbench.prediction_table import PredictionTable

MOST = 100_000  # draws


@metric("worst_of_k", higher_is_better=True, needs=(SHIFTS,), by_image=True, opt_in=True)
def worst_of_k(table: PredictionTable, k: int = 10) -> Terms:
    """Chance that k different random shifts of an image are all classified right (k = 10).

    mean_n C(n_y, k) / C(K, k), n_y of the K shifts of S being classified right; 0 to 1, higher is
    better. It is the expectation over all draws of k shifts without replacement, so nothing is
    drawn; k = 1 is ``shift_accuracy``, k = K is ``worst_accuracy`` if S contains the base view. If
    S itself was drawn, this is the unbiased estimate of the same chance over all shifts. NaN if S
    has fewer than k shifts. Source: Engstrom et al. 2019 (arXiv 1712.02779), worst-of-k, who draw
    k = 10 transformations once.

    Raises:
        UsageError: If k is not positive.

    >>> from shiftbench.metric.example import example
    >>> round(worst_of_k(example(), k=2).value, 4)  # (3/6 + 1/6 + 0 + 1) / 4
    0.4167
    """
    require_within("metric.worst_of_k.k", k, 1, MOST)
    return Terms.mean(_all_right(count_right(table), table.n_shifts, k), table.n_shifts)


def _all_right(right: np.ndarray, shifts: int, k: int) -> Floats:
    """Return C(right, k) / C(shifts, k), a product of k factors; NaN for k > shifts."""
    if k > shifts:
        return np.full(len(right), np.nan)
    chance: Floats = np.ones(len(right))
    for drawn in range(k):
        chance *= np.maximum(right - drawn, 0) / (shifts - drawn)
    return chance
