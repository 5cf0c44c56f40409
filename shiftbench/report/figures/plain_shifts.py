"""The rows of ``shifts.csv`` that are translations only, with their configurations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shiftbench.report.tables.panels import Panel
from shiftbench.storage.result_files import axes_of

# Neutral values of axes other than dy and dx: a row with another value is not a translation only.
NEUTRAL = {"scale": 1.0, "zoom": 1.0}
NEUTRAL_BY_DEFAULT = 0.0


def moved_rows(shifts: pd.DataFrame, panel: Panel) -> pd.DataFrame:
    """Return the translations of a panel's configurations.

    Args:
        shifts: Rows of ``shifts.csv`` with ``config_id``.
        panel: The configurations and the protocol.

    Returns:
        config_id, run_id, dy, dx, agreement, n_images, and the panel's label, pool and augment.
    """
    if shifts.empty:
        return pd.DataFrame()
    measured = shifts[shifts["protocol"] == panel.protocol]
    rows = measured[measured["config_id"].isin(panel.rows["config_id"])]
    rows = rows.dropna(subset=["dy", "dx", "agreement"])
    for name in axes_of(list(shifts.columns)):
        if name in ("dy", "dx"):
            continue
        neutral = NEUTRAL.get(name, NEUTRAL_BY_DEFAULT)
        rows = rows[rows[name].astype(float).fillna(neutral) == neutral]
    columns = ["config_id", "run_id", "dy", "dx", "agreement", "n_images"]
    named = panel.rows[["config_id", "label", "pool", "augment"]]
    joined: pd.DataFrame = rows[columns].merge(named, on="config_id")
    return joined


def distances(
    dy: NDArray[np.float64], dx: NDArray[np.float64], side: float | None = None
) -> NDArray[np.float64]:
    """Return the lengths of shifts in pixels; on a torus of ``side``, by the shorter way round.

    >>> distances(np.array([3.0, 31.0]), np.array([4.0, 0.0]))
    array([ 5., 31.])
    >>> distances(np.array([3.0, 31.0]), np.array([4.0, 0.0]), side=32)
    array([5., 1.])
    """
    away = np.abs(np.stack([dy, dx]).astype(np.float64))
    if side is not None:
        away %= side
        away = np.minimum(away, side - away)
    return np.asarray(np.hypot(*away))


def torus_side(rows: pd.DataFrame, protocol: str, settings: Mapping[str, Any]) -> float | None:
    """Return the period of a protocol's shifts in pixels, None if they are not circular.

    The ``size`` of the data if it has one; otherwise the smallest torus that contains all offsets.
    """
    target = str(settings.get(f"shift.{protocol}._target_", ""))
    circular = target.endswith(".Circular") or (not target and protocol.startswith("circular"))
    if not circular or rows.empty:
        return None
    size = settings.get("data.size")
    if isinstance(size, int | float):
        return float(size)
    offsets = rows[["dy", "dx"]].to_numpy(dtype=float)
    return float(max(offsets.max() - offsets.min() + 1, 2 * max(-offsets.min(), 0)))
