"""What one step changes, e.g. one pixel: metrics over the steps of the protocol's path.

A step is one pixel, unless the table's meta has another ``step``, e.g. ``10°``.
"""

from __future__ import annotations

import numpy as np

from shiftbench.metric.answers import PATH, Bools, steps
from shiftbench.metric.base import Need, Terms, metric
from shiftbench.prediction_table import PredictionTable


def _is_horizontal(table: PredictionTable) -> bool:
    protocol = table.meta.get("protocol")
    return isinstance(protocol, dict) and protocol.get("path") == "horizontal"


HORIZONTAL = Need("a horizontal path", _is_horizontal)
TOP_5 = Need("more than five classes", lambda table: table.num_classes > 5)


def _changed(table: PredictionTable) -> Bools:
    before, after = steps(table)
    first, second = table.top1.take(before, axis=1), table.top1.take(after, axis=1)
    changed: Bools = (first != second) | (first < 0)
    return changed


@metric("top1_change", higher_is_better=False, needs=(PATH,), by_image=True)
def top1_change(table: PredictionTable) -> Terms:
    """Chance that one step along the path changes the answer.

    mean over images and steps of 1[P(s) ≠ P(s + 1)]; 0 to 1, lower is better. A step from or to a
    NaN answer is a change. The path (diagonal by default) belongs to the protocol; every column
    with a predecessor on it is a step, in S or not. Source: Azulay & Weiss 2019 (arXiv 1805.12177).

    >>> from shiftbench.metric.example import example
    >>> round(top1_change(example()).value, 4)  # 2 of 4 x 3 steps
    0.1667
    """
    changed = _changed(table)
    n_steps = changed.shape[1]
    return Terms.ratio(np.count_nonzero(changed, axis=1), n_steps, n_steps)


@metric("mean_absolute_change", higher_is_better=False, needs=(PATH,), by_image=True)
def mean_absolute_change(table: PredictionTable) -> Terms:
    """Mean change of the top class's probability under one step along the path.

    mean over images and steps of |p(s, k) − p(s + 1, k)| with k the answer at s; 0 to 1, lower is
    better. Steps from or to a NaN answer have no probability and are left out; ``n_images`` counts
    the images with at least one step. Source: Azulay & Weiss 2019 (arXiv 1805.12177), MAC.

    >>> from shiftbench.metric.example import table_of
    >>> nan = float("nan")
    >>> table = table_of([[0, 0, 0]], [0], p_top1=[[0.9, 0.7, 0.6]], p_previous=[[nan, 0.7, 0.6]])
    >>> round(mean_absolute_change(table).value, 4)  # (0.2 + 0.1) / 2
    0.15
    """
    before, after = steps(table)
    change = np.abs(table.p_top1.take(before, axis=1) - table.p_previous.take(after, axis=1))
    # p_previous is undefined if the previous view has no answer, so the answers are checked too.
    answered = table.top1 >= 0
    valid = answered.take(before, axis=1) & answered.take(after, axis=1) & ~np.isnan(change)
    total = change.sum(axis=1, where=valid, dtype=np.float64)
    return Terms.ratio(total, np.count_nonzero(valid, axis=1), len(after))


@metric("jaggedness", higher_is_better=False, needs=(PATH, TOP_5), by_image=True)
def jaggedness(table: PredictionTable) -> Terms:
    """How often one step pushes the true class out of the top five.

    Over the steps of the path whose first view has the true class in the top five, the share whose
    second view does not; 0 to 1, lower is better. A NaN answer has no top five. ``n_images`` counts
    the images with such a step. Steps from outside the top five into it are not counted, since the
    share is conditional on the first view. Source: Azulay & Weiss, first version of
    arXiv 1805.12177.

    >>> from shiftbench.metric.example import table_of
    >>> ranks = [[0, 4, 5, 3], [9, 9, 0, 0]]  # inside, inside, out, back; out, out, inside, inside
    >>> table = table_of([[0, 1, 1, 1], [1, 1, 1, 1]], [0, 1], rank_true=ranks, num_classes=10)
    >>> round(jaggedness(table).value, 4)  # steps that start inside: 2 and 1; that leave: 1 and 0
    0.3333
    """
    before, after = steps(table)
    inside = (table.rank_true < 5) & (table.top1 >= 0)
    starts, stays = inside.take(before, axis=1), inside.take(after, axis=1)
    leaves = np.count_nonzero(starts & ~stays, axis=1)
    return Terms.ratio(leaves, np.count_nonzero(starts, axis=1), len(after))


@metric("flip_probability", higher_is_better=False, needs=(PATH, HORIZONTAL), by_image=True)
def flip_probability(table: PredictionTable) -> Terms:
    """Chance that the answer flips between consecutive frames of a horizontal sequence.

    mean over images and frames of 1[P(t) ≠ P(t − 1)]; 0 to 1, lower is better. Equal to
    ``top1_change``, and reported only if the path is horizontal. Source: Hendrycks & Dietterich
    2019 (arXiv 1903.12261), ImageNet-P translate.

    >>> from shiftbench.metric.example import table_of
    >>> flip_probability(table_of([[0, 1, 1], [2, 2, 2]], [0, 2])).value  # 1 of 2 x 2 frames
    0.25
    """
    return top1_change(table)
