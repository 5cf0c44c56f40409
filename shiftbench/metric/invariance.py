"""How far the network's output moves, answer apart: probabilities and logits."""

from __future__ import annotations

import numpy as np

from shiftbench.metric.answers import MOVED, SHIFTS, over_s
from shiftbench.metric.base import Terms, metric
from shiftbench.prediction_table import PredictionTable

FLOAT32 = 1e-5  # tolerance if the table states none


@metric("wobble", higher_is_better=False, needs=(MOVED,), by_image=True)
def wobble(table: PredictionTable) -> Terms:
    """Mean range, over the shifts, of the probability of the base view's answer.

    mean_n (max p − min p) of class P(n, 0) over S and the base view; 0 to 1, lower is better. NaN
    answers are left out; an image counts if its base view and at least one other view have answers.
    Source: the max-min proposed in issue 44 of antialiased-cnns.

    >>> from shiftbench.metric.example import table_of
    >>> table = table_of([[0, 0, 1], [1, 1, 1]], [0, 1], p_base=[[0.9, 0.5, 0.2], [0.75, 1, 0.5]])
    >>> round(wobble(table).value, 4)  # (0.7 + 0.5) / 2
    0.6
    """
    seen = np.union1d([0], np.flatnonzero(table.sampled)).astype(np.intp)
    p_base = table.p_base.take(seen, axis=1)
    valid = (table.top1.take(seen, axis=1) >= 0) & ~np.isnan(p_base)
    high = p_base.max(axis=1, where=valid, initial=0.0)
    low = p_base.min(axis=1, where=valid, initial=1.0)
    counts = valid[:, 0] & (valid.sum(axis=1) > 1)
    return Terms.mean(np.where(counts, high - low, np.nan), table.n_shifts)


@metric("exact_fraction", higher_is_better=True, needs=(SHIFTS,), by_image=True)
def exact_fraction(table: PredictionTable, tolerance: float | None = None) -> Terms:
    """Share of the shifts that leave every logit where it was.

    mean over images and S of 1[max_c |z(n, s, c) − z(n, 0, c)| ≤ tolerance · scale_n]; 0 to 1,
    higher is better. The scale is the spread of the base view's logits over the classes (the
    table's ``logit_scale``). The tolerance covers rounding; by default, it is that of the
    table's meta (``logit_tolerance``): 1e-5 for a network in float32, 2^-10 in TF32 and float16,
    2^-7 in bfloat16. An enumerated S includes the zero shift, so a network of total stride D has at
    least 1/D² under circular shifts. NaN is never exact; equal infinite logits are. Source: the
    1/s² argument of Azulay & Weiss 2019 (arXiv 1805.12177).

    >>> from shiftbench.metric.example import table_of
    >>> table = table_of([[0, 0, 0, 0]], [0], logit_change=[[0, 5e-5, 2e-4, 1]], logit_scale=[10])
    >>> exact_fraction(table).value  # at most 1e-4: two of four
    0.5
    """
    if tolerance is None:
        tolerance = float(table.meta.get("logit_tolerance", FLOAT32))
    allowed = tolerance * table.logit_scale
    exact = (table.logit_change <= allowed[:, None]) & np.isfinite(table.logit_change)
    count = np.count_nonzero(over_s(table, exact), axis=1)
    return Terms.ratio(count, table.n_shifts, table.n_shifts)
