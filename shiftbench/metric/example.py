"""Small tables with known answers, for documentation and tests."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from shiftbench.prediction_table import PredictionTable


def table_of(
    top1: ArrayLike, labels: ArrayLike, *, num_classes: int | None = None, **columns: Any
) -> PredictionTable:
    """Return a table of the answers ``(N, K)`` of a network that predicts with probability 1.

    Defaults, which ``columns`` override: shift k moves the image by k pixels to the right, all
    columns are sampled, and each is one step after the previous one; probabilities and logits are
    0 or 1, and NaN where the answer is -1.

    >>> table_of([[0, 1]], [0]).p_base
    array([[1., 0.]], dtype=float32)
    """
    answers, truth = np.asarray(top1, np.int32), np.asarray(labels, np.int32)
    width = answers.shape[1]
    classes = int(max(answers.max(), truth.max())) + 1 if num_classes is None else num_classes
    certain = _certain_columns(answers, truth)
    fixed = {
        "shifts": np.stack([np.zeros(width), np.arange(width)], axis=1),
        "sampled": np.ones(width, bool),
        "previous": np.arange(-1, width - 1),
        "logit_scale": np.ones(len(answers)),
    }
    meta = {"num_classes": classes, **columns.pop("meta", {})}
    axes = tuple(columns.pop("axes", ("dy", "dx")))
    kinds = {"sampled": bool, "previous": np.int32, "rank_true": np.int32}
    arrays: dict[str, Any] = {
        name: np.asarray(value, kinds.get(name, np.float32))
        for name, value in (certain | fixed | columns).items()
    }
    return PredictionTable(top1=answers, labels=truth, axes=axes, meta=meta, **arrays)


def _certain_columns(top1: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    answered = top1 >= 0

    def is_class(cls: np.ndarray) -> np.ndarray:
        return np.where(answered & (cls >= 0), top1 == cls, np.nan)

    previous = np.concatenate([np.full((len(top1), 1), -1), top1[:, :-1]], axis=1)
    return {
        "p_top1": is_class(top1),
        "p_base": is_class(top1[:, :1]),
        "p_previous": is_class(previous),
        "p_true": is_class(labels[:, None]),
        "rank_true": top1 != labels[:, None],
        "logit_change": 1 - is_class(top1[:, :1]),
    }


def example() -> PredictionTable:
    """Return a table of four images under four shifts, for calculations by hand.

    >>> example().top1
    array([[0, 0, 0, 1],
           [1, 1, 2, 2],
           [0, 0, 0, 0],
           [1, 1, 1, 1]], dtype=int32)
    >>> example().labels
    array([0, 1, 2, 1], dtype=int32)
    """
    return table_of([[0, 0, 0, 1], [1, 1, 2, 2], [0, 0, 0, 0], [1, 1, 1, 1]], [0, 1, 2, 1])
