"""Quantities that metrics derive from a table: the set S, correct answers, counts, steps.

A NaN answer of the network (-1) equals no class: it is never correct and agrees with no other
answer, not even another NaN. All functions here follow this rule.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from shiftbench.metric.base import Need
from shiftbench.prediction_table import PredictionTable

CHUNK = 2_000_000  # entries per block if a copy is needed: about 50 MB
T = TypeVar("T", bound=np.generic)
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


def over_s(table: PredictionTable, array: NDArray[T]) -> NDArray[T]:
    """Columns of ``array (N, K)`` that belong to the set S; not a copy if all belong to it."""
    if table.sampled.all():
        return array
    return array.take(np.flatnonzero(table.sampled), axis=1)


def right(table: PredictionTable) -> Bools:
    """Whether each answer is the true class, ``(N, K)``."""
    correct: Bools = (table.top1 == table.labels[:, None]) & (table.top1 >= 0)
    return correct


def count_right(table: PredictionTable) -> Ints:
    """Number n_y of shifts of S under which each image is classified correctly, ``(N,)``."""
    count: Ints = np.count_nonzero(over_s(table, right(table)), axis=1)
    return count


def same_as_base(table: PredictionTable) -> Bools:
    """Whether each answer equals that of column 0, ``(N, K)``."""
    base = table.top1[:, :1]
    same: Bools = (table.top1 == base) & (base >= 0)
    return same


def class_counts(table: PredictionTable) -> tuple[Ints, Ints, Ints]:
    """Counts n_c of the answers over S as ``(image, class, n_c)``, one entry per predicted class.

    Each row is sorted and its runs of equal answers are counted, so memory does not depend on the
    number of classes. NaN answers are no class and have no entry.
    """
    answers = over_s(table, table.top1)
    rows = max(1, CHUNK // answers.shape[1])
    parts = [_runs(answers[at : at + rows], at) for at in range(0, len(answers), rows)]
    image, label, count = (np.concatenate(part) for part in zip(*parts, strict=True))
    return image, label, count


def _runs(answers: NDArray[np.int32], first_image: int) -> tuple[Ints, Ints, Ints]:
    ordered = np.sort(answers, axis=1)
    starts_run = np.ones(ordered.shape, dtype=bool)
    np.not_equal(ordered[:, 1:], ordered[:, :-1], out=starts_run[:, 1:])
    start = np.flatnonzero(starts_run)
    count = np.diff(start, append=ordered.size)
    label = ordered.ravel()[start].astype(np.int64)
    real = label >= 0
    return start[real] // ordered.shape[1] + first_image, label[real], count[real]


def moved(table: PredictionTable) -> Bools:
    """Whether a shift of S differs from that of column 0, ``(1, K)`` or, per image, ``(N, K)``."""
    shifts = table.shifts[None] if table.shifts.ndim == 2 else table.shifts
    return over_s(table, (shifts != shifts[:, :1]).any(axis=-1))


def steps(table: PredictionTable) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Columns before and after each step of the protocol's path."""
    after = np.flatnonzero(table.previous >= 0)
    return table.previous[after].astype(np.intp), after


SHIFTS = Need("at least one sampled shift", lambda table: table.n_shifts >= 1)
PAIRS = Need("at least two sampled shifts", lambda table: table.n_shifts >= 2)
MOVED = Need("a sampled shift that moves the image", lambda table: bool(moved(table).any()))
PATH = Need("a path of steps", lambda table: bool((table.previous >= 0).any()))
