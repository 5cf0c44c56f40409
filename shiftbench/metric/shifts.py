"""Means over images for every shift, the rows of ``shifts.csv``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from shiftbench.metric.answers import Bools, Ints, over_s, right, same_as_base
from shiftbench.metric.base import Floats, ratio
from shiftbench.prediction_table import PredictionTable

if TYPE_CHECKING:
    import pandas as pd


def per_shift(table: PredictionTable) -> pd.DataFrame:
    """Return means over images for each distinct shift of S, sorted by shift.

    Columns: one per axis of the table, ``accuracy``, ``agreement`` (share with the base view's
    answer), ``mean_absolute_change`` (mean |p(s, k) − p(0, k)| with k the base view's answer; NaN
    answers left out) and ``n_images``. If shifts are drawn per image, a row is a mean over the
    images that drew its shift, so ``n_images`` differs between rows.

    >>> from shiftbench.metric.example import example
    >>> per_shift(example())
        dy   dx  accuracy  agreement  mean_absolute_change  n_images
    0  0.0  0.0      0.75       1.00                  0.00         4
    1  0.0  1.0      0.75       1.00                  0.00         4
    2  0.0  2.0      0.50       0.75                  0.25         4
    3  0.0  3.0      0.25       0.50                  0.50         4
    """
    vectors, group = _distinct_shifts(table)
    sums = _sums(table, group, len(vectors))
    columns = dict(zip(table.axes, vectors.T, strict=True))
    columns |= {name: sums[name] / sums["n_images"] for name in ("accuracy", "agreement")}
    columns["mean_absolute_change"] = ratio(np.stack([sums["change"], sums["valid"]], axis=-1))
    columns["n_images"] = sums["n_images"].astype(np.int64)
    import pandas as pd  # imported here to keep the import of the metrics fast

    return pd.DataFrame(columns)


def _sums(table: PredictionTable, group: Ints, groups: int) -> dict[str, Floats]:
    """Sum over the images of each distinct shift, ``(G,)``, a part of the table after another."""
    totals: dict[str, Floats] = {}
    start = 0
    for part in table.parts():
        change, valid = _change_from_base(part)
        own = group if group.ndim == 1 else group[start : start + part.n_images]
        for name, array in {
            "accuracy": right(part),
            "agreement": same_as_base(part),
            "change": change,
            "valid": valid,
            "n_images": np.ones_like(valid),
        }.items():
            totals[name] = _added(totals.get(name), over_s(part, array), own, groups)
        start += part.n_images
    if group.ndim == 1:  # all images share the shifts: K numbers are left to group
        return {
            name: np.bincount(group, weights=total, minlength=groups).astype(np.float64, copy=False)
            for name, total in totals.items()
        }
    return totals


def _added(total: Floats | None, array: NDArray[np.generic], group: Ints, groups: int) -> Floats:
    """Add the images of a part to the total, in the order in which one pass would add them."""
    if group.ndim == 1:
        if total is not None:
            array = np.concatenate([total[None], array])
        columns: Floats = array.sum(axis=0, dtype=np.float64)
        return columns
    index, weights = group.ravel(), array.ravel().astype(np.float64, copy=False)
    if total is not None:
        index = np.concatenate([np.arange(groups), index])
        weights = np.concatenate([total, weights])
    return np.bincount(index, weights=weights, minlength=groups).astype(np.float64, copy=False)


def _change_from_base(table: PredictionTable) -> tuple[NDArray[np.float32], Bools]:
    change = np.abs(table.p_base - table.p_base[:, :1])
    answered = table.top1 >= 0
    valid = answered & answered[:, :1] & ~np.isnan(change)
    return np.where(valid, change, np.float32(0)), valid


def _distinct_shifts(table: PredictionTable) -> tuple[NDArray[np.float32], Ints]:
    """Return the distinct shifts ``(G, A)`` of S and the index of each, ``(K,)`` or ``(N, K)``.

    Each axis is sorted by itself, which is much faster than sorting vectors.
    """
    shifts = table.shifts[..., table.sampled, :]
    axes = [np.unique(shifts[..., axis], return_inverse=True) for axis in range(shifts.shape[-1])]
    sizes = [len(values) for values, _ in axes]
    codes = np.ravel_multi_index([inverse for _, inverse in axes], sizes)
    found, group = np.unique(codes, return_inverse=True)
    indices = np.unravel_index(found, sizes)
    vectors = [values[index] for (values, _), index in zip(axes, indices, strict=True)]
    return np.stack(vectors, axis=-1), group
