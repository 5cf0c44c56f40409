"""Accuracy and agreement against the phase (dy mod P, dx mod P) of a shift."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shiftbench.errors import UsageError
from shiftbench.storage.result_files import axes_of

if TYPE_CHECKING:
    import pandas as pd

MEANS = ("accuracy", "agreement", "mean_absolute_change")


def per_phase(shifts: pd.DataFrame, period: int) -> pd.DataFrame:
    """Return means over the shifts of every phase (dy mod P, dx mod P).

    P is the side of a patch of a vision transformer, or the total stride of a convolutional
    network: its answers to shifts of one phase differ only by what borders and content cause.

    Args:
        shifts: One row per shift, as returned by :func:`~shiftbench.metric.shifts.per_shift`, or
            the rows of one protocol in ``shifts.csv``.
        period: P in pixels.

    Returns:
        A row for each phase that occurs: dy and dx in pixels, 0 to below P; ``accuracy``,
        ``agreement`` and ``mean_absolute_change``, means weighted by the images of each shift
        (NaN left out); ``n_shifts``, the distinct shifts, and ``n_images``, the views. Empty if
        the protocol does more, or something else, than to move images by (dy, dx).

    Raises:
        UsageError: If the period is not positive.

    >>> from shiftbench.metric import per_shift
    >>> from shiftbench.metric.example import example
    >>> per_phase(per_shift(example()), 2)[["dy", "dx", "agreement", "n_shifts", "n_images"]]
        dy   dx  agreement  n_shifts  n_images
    0  0.0  0.0      0.875         2         8
    1  0.0  1.0      0.750         2         8
    """
    if period < 1:
        raise UsageError(f"period={period} is not positive; give the side of a patch, e.g. 16")
    moves = {"dy", "dx"} <= set(shifts.columns)
    others = [name for name in axes_of(list(shifts.columns)) if name not in ("dy", "dx")]
    shifts = shifts[shifts[others].isna().all(axis=1)]
    rows = shifts.dropna(subset=["dy", "dx"]) if moves else shifts.iloc[:0].assign(dy=0.0, dx=0.0)
    phases = rows.assign(dy=rows["dy"] % period, dx=rows["dx"] % period, n_shifts=1)
    weights = {name: rows["n_images"].where(rows[name].notna(), 0) for name in MEANS}
    parts = {name: rows[name].fillna(0) * weights[name] for name in MEANS}
    heavy = {f"weight_{name}": weights[name] for name in MEANS}
    sums = (
        phases.assign(**parts, **heavy)
        .groupby(["dy", "dx"], as_index=False)[[*MEANS, *heavy, "n_shifts", "n_images"]]
        .sum()
    )
    means = {name: sums[name] / sums[f"weight_{name}"] for name in MEANS}
    columns = ["dy", "dx", *MEANS, "n_shifts", "n_images"]
    return sums.assign(**means)[columns]
