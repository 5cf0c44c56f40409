"""How often two views of an image get the same answer; n_c is how often class c is answered in S.

Closed forms: the answers to all of S are known, so expectations over pairs are computed exactly.
"""

from __future__ import annotations

import numpy as np

from shiftbench.metric.answers import (
    MOVED,
    PAIRS,
    SHIFTS,
    class_counts,
    count_right,
    moved,
    over_s,
    right,
    same_as_base,
)
from shiftbench.metric.base import Terms, metric
from shiftbench.prediction_table import PredictionTable


@metric("consistency", higher_is_better=True, needs=(PAIRS,), by_image=True)
def consistency(table: PredictionTable) -> Terms:
    """Chance that two different shifts of an image get the same answer.

    mean_n (Σ_c n_c² − K) / (K(K − 1)), as Σ_c n_c(n_c − 1) / (K(K − 1)) so that a NaN answer agrees
    with nothing; 0 to 1, higher is better. Pairs are drawn without replacement. If S was drawn,
    this is the unbiased estimate (a U-statistic) of the same probability over all shifts. Source:
    Zhang 2019 (arXiv 1904.11486); here exact and over distinct pairs.

    >>> from shiftbench.metric.example import example
    >>> round(consistency(example()).value, 4)  # (6/12 + 4/12 + 1 + 1) / 4
    0.7083
    """
    image, _, count = class_counts(table)
    pairs = np.bincount(image, weights=count * (count - 1), minlength=table.n_images)
    return Terms.ratio(pairs, table.n_shifts * (table.n_shifts - 1), table.n_shifts)


@metric("pair_consistency", higher_is_better=True, needs=(SHIFTS,), by_image=True)
def pair_consistency(table: PredictionTable) -> Terms:
    """Chance that two shifts, possibly the same one, get the same answer.

    mean_n Σ_c (n_c/K)²; 0 to 1, higher is better. Published code estimates this quantity by
    drawing both shifts independently. A shift always agrees with itself, so this is
    1/K + (1 − 1/K) times ``consistency``: it depends on K, and a small drawn S raises it.
    Source: Zhang 2019 (arXiv 1904.11486), released code.

    >>> from shiftbench.metric.example import example
    >>> pair_consistency(example()).value  # (10/16 + 8/16 + 1 + 1) / 4
    0.78125
    """
    image, _, count = class_counts(table)
    pairs = np.bincount(image, weights=count**2, minlength=table.n_images)
    return Terms.ratio(pairs, table.n_shifts**2, table.n_shifts)


@metric("kway_consistency", higher_is_better=True, needs=(SHIFTS,), by_image=True)
def kway_consistency(table: PredictionTable, k: int = 5) -> Terms:
    """Chance that k shifts, drawn with replacement, all get the same answer (k = 5).

    mean_n Σ_c (n_c/K)^k; 0 to 1, higher is better. Like ``pair_consistency``, it is raised by a
    small drawn S. Source: Rojas-Gomez et al. 2022 (arXiv 2210.08001), released code.

    >>> from shiftbench.metric.example import example
    >>> kway_consistency(example(), k=3).value  # (28/64 + 16/64 + 1 + 1) / 4
    0.671875
    >>> round(kway_consistency(example()).value, 4)  # (244/1024 + 64/1024 + 1 + 1) / 4
    0.5752
    """
    image, _, count = class_counts(table)
    agree = np.bincount(image, weights=(count / table.n_shifts) ** k, minlength=table.n_images)
    return Terms.mean(agree, table.n_shifts)


@metric("base_consistency", higher_is_better=True, needs=(MOVED,), by_image=True)
def base_consistency(table: PredictionTable) -> Terms:
    """Share of the shifts that keep the answer given to the base view.

    mean_n of the share of {s in S, s ≠ 0} with P(n, s) = P(n, 0); 0 to 1, higher is better. The
    zero shift, which always agrees, is found by comparing with the shift of column 0 and left out.
    Source: Michaeli et al. 2023 (arXiv 2303.08085), released code.

    >>> from shiftbench.metric.example import example
    >>> base_consistency(example()).value  # (2/3 + 1/3 + 1 + 1) / 4
    0.75
    """
    counted = moved(table)
    agree = np.count_nonzero(over_s(table, same_as_base(table)) & counted, axis=1)
    number = np.broadcast_to(np.count_nonzero(counted, axis=1), agree.shape)
    share = np.divide(agree, number, out=np.full(agree.shape, np.nan), where=number > 0)
    return Terms.mean(share, int(number.max()))


@metric("correct_consistency", higher_is_better=True, needs=(PAIRS,), by_image=True)
def correct_consistency(table: PredictionTable) -> Terms:
    """Chance that two different shifts get the same answer, given that at least one is right.

    Σ_n n_y(n_y − 1) / Σ_n [K(K − 1) − (K − n_y)(K − n_y − 1)], pairs without replacement, so that
    the value does not depend on the size of S; 0 to 1, higher is better. Pairs of two wrong answers
    do not contribute. ``n_images`` counts the images that are classified correctly at least once.
    Source: Zou et al. 2020 (arXiv 2008.09604), released code, which draws with replacement and
    averages over batches.

    >>> from shiftbench.metric.example import example
    >>> round(correct_consistency(example()).value, 4)  # (6 + 2 + 0 + 12) / (12 + 10 + 0 + 12)
    0.5882
    """
    count, whole = count_right(table), table.n_shifts
    wrong, pairs = whole - count, whole * (whole - 1)
    either = pairs - wrong * (wrong - 1)
    return Terms.ratio(count * (count - 1), either, whole, heaviest=pairs)


@metric("stable_accuracy", higher_is_better=True, needs=(SHIFTS,), by_image=True)
def stable_accuracy(table: PredictionTable) -> Terms:
    """Right in the base view and right under shift, per image.

    mean_n 1[P(n, 0) = y_n] · n_y/K; 0 to 1, higher is better. The product is taken per image; the
    product of the two means is a different quantity.

    >>> from shiftbench.metric.example import example
    >>> stable_accuracy(example()).value  # (3/4 + 2/4 + 0 + 1) / 4
    0.5625
    """
    count = right(table)[:, 0] * count_right(table)
    return Terms.ratio(count, table.n_shifts, table.n_shifts)
