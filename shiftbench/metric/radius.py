"""Accuracy and consistency over the radius r = max(|dy|, |dx|) of the shifts, with intervals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from shiftbench.metric.answers import CHUNK, Ints, moved, over_s, right, same_as_base
from shiftbench.metric.base import Floats, Terms
from shiftbench.metric.bootstrap import BCA, Bootstrap
from shiftbench.metric.interval import interval_of
from shiftbench.prediction_table import PredictionTable

if TYPE_CHECKING:
    import pandas as pd

UP_TO, AT = "up_to", "at"
MOST_RADII = 128  # more distinct radii, as of fractional shifts, are rounded up to whole pixels
COLUMNS = (
    "shifts", "metric", "radius", "value", "ci_low", "ci_high", "interval", "n_images", "n_shifts",
)  # fmt: skip


def per_radius(
    table: PredictionTable,
    *,
    resamples: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
    method: str = BCA,
) -> pd.DataFrame:
    """Return accuracy and consistency for every radius r = max(|dy|, |dx|) among the shifts of S.

    Metrics are those of the same name, for a part of S (column ``shifts``): ``up_to`` r
    (``shift_accuracy``, ``worst_accuracy``, ``consistency``), or ``at`` r (``shift_accuracy``,
    ``base_consistency``). ``worst_accuracy`` up to r is the accuracy that no shift of that radius
    can lower; it contains the base view and begins with the accuracy at r = 0. If shifts are drawn
    per image, all pairs and shifts of a radius have equal weight, whichever image drew them.
    Offsets count as they are: of a circular shift by 31 px that is −1 px, the radius is 31 px.
    Source: Michaeli & Soudry 2025 (arXiv 2510.22673), the square ring, worst case up to r.

    Args:
        table: The answers of one network under one protocol.
        resamples: As in :func:`~shiftbench.metric.evaluation.evaluate`, like the other arguments.
        seed: Seed of the resampling.
        confidence: Nominal coverage of each interval, for one radius at a time.
        method: ``"bca"`` or ``"percentile"``.

    Returns:
        A row for each curve and radius: shifts, metric, radius, value, ci_low, ci_high, interval,
        n_images, n_shifts; empty if the protocol does more, or something else, than to move images
        by (dy, dx).

    >>> from shiftbench.metric.example import example
    >>> rows = per_radius(example(), resamples=10)
    >>> rows[rows["metric"] == "worst_accuracy"]["value"].tolist()  # radii 0, 1, 2, 3
    [0.75, 0.75, 0.5, 0.25]
    """
    import pandas as pd  # imported here to keep the import of the metrics fast

    if set(table.axes) != {"dy", "dx"}:
        return pd.DataFrame(columns=list(COLUMNS))
    radii, group = _radii(table)
    curves = list(_curves(_Counts.of(table, group, len(radii)), radii))
    options = Bootstrap(resamples, seed, confidence, method)
    sums = options.sums([term for *_, term in curves])
    rows = []
    for (shifts, metric, radius, term), resampled in zip(curves, sums, strict=True):
        low, high, kind = interval_of(term, resampled, options)
        ends = np.clip((low, high), 0, 1).tolist()
        rows.append((shifts, metric, radius, term.value, *ends, kind, term.n_images, term.n_shifts))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _radii(table: PredictionTable) -> tuple[Floats, Ints]:
    """Return the radii ``(R,)``, 0 first, and the index of each shift of S, ``(K,)`` or ``(N, K)``.

    The radius is relative to the shift of column 0.
    """
    places = [table.axes.index("dy"), table.axes.index("dx")]
    offsets = table.shifts[..., places].astype(np.float64)
    far = np.abs(offsets - offsets[..., :1, :]).max(axis=-1)[..., table.sampled]
    if len(np.unique(far)) > MOST_RADII:
        far = np.ceil(far)
    radii = np.union1d([0.0], far)
    return radii, np.searchsorted(radii, far)


@dataclass(frozen=True)
class _Counts:
    """Counts of every image at every radius, each ``(N, R)`` but ``base``.

    Attributes:
        shifts: Shifts at the radius.
        right: Those classified right.
        moved: Those that differ from the base view's shift.
        same: Those of ``moved`` that keep the base view's answer.
        pairs: Ordered pairs of shifts up to the radius that get the same answer.
        base: ``(N,)`` bool, whether the base view is classified right.
    """

    shifts: Ints
    right: Ints
    moved: Ints
    same: Ints
    pairs: Ints
    base: np.ndarray

    @classmethod
    def of(cls, table: PredictionTable, group: Ints, radii: int) -> _Counts:
        """Count, a part of the table after another."""
        parts, start = [], 0
        for part in table.parts():
            own = group if group.ndim == 1 else group[start : start + part.n_images]
            parts.append(
                _counted(part, np.broadcast_to(own, (part.n_images, own.shape[-1])), radii)
            )
            start += part.n_images
        return cls(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def _counted(table: PredictionTable, group: Ints, radii: int) -> tuple[np.ndarray, ...]:
    """Return the fields of :class:`_Counts` of one part of a table."""
    correct = right(table)
    changed = np.broadcast_to(moved(table), group.shape)
    same = over_s(table, same_as_base(table)) & changed
    place = (np.arange(len(group))[:, None] * radii + group).ravel()

    def at_radius(flags: np.ndarray | None) -> Ints:
        chosen = place if flags is None else place[flags.ravel()]
        return np.bincount(chosen, minlength=len(group) * radii).reshape(len(group), radii)

    numbers = [at_radius(flags) for flags in (None, over_s(table, correct), changed, same)]
    pairs = _pairs(over_s(table, table.top1), group, radii, table.num_classes)
    return *numbers, pairs, correct[:, 0]


def _pairs(answers: np.ndarray, group: Ints, radii: int, classes: int) -> Ints:
    """Return the ordered pairs of equal answers up to each radius, ``(N, R)``.

    Shifts are added in the order of their radius: one more answer of a class makes two ordered
    pairs with each earlier one. NaN answers agree with nothing.
    """
    order = np.argsort(group, axis=1, kind="stable")
    answers = np.take_along_axis(answers, order, axis=1)
    group = np.take_along_axis(group, order, axis=1)
    found = np.zeros((len(answers), radii), dtype=np.int64)
    rows = max(1, CHUNK // (classes + 1))
    for start in range(0, len(answers), rows):
        _add_pairs(found[start : start + rows], answers[start : start + rows],
                   group[start : start + rows], classes)  # fmt: skip
    return found.cumsum(axis=1)


def _add_pairs(found: Ints, answers: np.ndarray, group: Ints, classes: int) -> None:
    """Add the pairs that each shift makes with earlier ones to ``found (n, R)``, in place."""
    image = np.arange(len(answers))
    seen = np.zeros((len(answers), classes + 1), dtype=np.int64)  # the last column: NaN answers
    for answer, place in zip(answers.T, group.T, strict=True):
        seen[:, -1] = 0
        found[image, place] += 2 * seen[image, answer]
        seen[image, answer] += 1


def _curves(counts: _Counts, radii: Floats) -> Iterator[tuple[str, str, float, Terms]]:
    """Yield curve, metric and radius of every row with its terms, without undefined ones."""
    whole, hits = counts.shifts.cumsum(axis=1), counts.right.cumsum(axis=1)
    safe = counts.base[:, None] & (hits == whole)
    always = np.ones_like(whole)
    curves = {
        (UP_TO, "shift_accuracy"): (hits, whole, whole),
        (UP_TO, "worst_accuracy"): (safe, always, whole),
        (UP_TO, "consistency"): (counts.pairs, whole * (whole - 1), whole),
        (AT, "shift_accuracy"): (counts.right, counts.shifts, counts.shifts),
        (AT, "base_consistency"): (counts.same, counts.moved, counts.moved),
    }
    for (shifts, metric), (above, below, number) in curves.items():
        for place, radius in enumerate(radii.tolist()):
            term = Terms.ratio(above[:, place], below[:, place], int(number[:, place].max()))
            if term.n_images:
                yield shifts, metric, radius, term
