"""How often the answer is right: unshifted, on average over S, under every shift of S."""

from __future__ import annotations

from shiftbench.metric.answers import SHIFTS, count_right, over_s, right
from shiftbench.metric.base import Terms, metric
from shiftbench.prediction_table import PredictionTable


@metric("accuracy", higher_is_better=True, by_image=True)
def accuracy(table: PredictionTable) -> Terms:
    """Share of images classified right in the base view.

    mean_n 1[P(n, 0) = y_n]; 0 to 1, higher is better.

    >>> from shiftbench.metric.example import example
    >>> accuracy(example()).value  # images 0, 1 and 3 of 4
    0.75
    """
    return Terms.mean(right(table)[:, 0], n_shifts=1)


@metric("shift_accuracy", higher_is_better=True, needs=(SHIFTS,), by_image=True)
def shift_accuracy(table: PredictionTable) -> Terms:
    """Mean share of the shifts under which an image is classified right.

    mean_n n_y/K over the K shifts of S; 0 to 1, higher is better.

    >>> from shiftbench.metric.example import example
    >>> shift_accuracy(example()).value  # (3 + 2 + 0 + 4) / 16
    0.5625
    """
    return Terms.ratio(count_right(table), table.n_shifts, table.n_shifts)


@metric("worst_accuracy", higher_is_better=True, needs=(SHIFTS,), by_image=True)
def worst_accuracy(table: PredictionTable) -> Terms:
    """Share of images classified right under every shift, the base view included.

    mean_n 1[n_y = K and P(n, 0) = y_n]; 0 to 1, higher is better. A drawn S misses some shifts, so
    its value is an upper bound of the one over all shifts. Source: Engstrom et al. 2019
    (arXiv 1712.02779), the adversary that tries every translation.

    >>> from shiftbench.metric.example import example
    >>> worst_accuracy(example()).value  # image 3 alone
    0.25
    """
    correct = right(table)
    return Terms.mean(over_s(table, correct).all(axis=1) & correct[:, 0], table.n_shifts)
