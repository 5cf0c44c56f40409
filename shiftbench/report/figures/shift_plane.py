"""Heat map of one quantity over the plane of shifts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from shiftbench.report.figures.drawing import colormap, own_settings, write_png


@own_settings()
def heatmap(shifts: pd.DataFrame, title: str, column: str, path: Path) -> None:
    """Draw ``column`` over (dy, dx) and write a PNG.

    Args:
        shifts: Rows of ``shifts.csv`` of one protocol, with ``dy`` and ``dx``.
        title: Title of the figure.
        column: The column to draw, a fraction.
        path: Path of the PNG.
    """
    figure = Figure(figsize=(5.2, 4.2), layout="constrained")
    axes = figure.add_subplot()
    image = draw_plane(axes, shifts, column, (floor_of(shifts[column]), 1.0))
    axes.set(xlabel="dx (px to the right)", ylabel="dy (px down)")
    figure.suptitle(title, fontsize=11)
    axes.plot(0, 0, marker="+", color="red", markersize=8)
    figure.colorbar(image, ax=axes, label=column.replace("_", " "))
    write_png(figure, path)


def draw_plane(
    axes: Axes,
    shifts: pd.DataFrame,
    column: str,
    limits: tuple[float, float],
    colors: Colormap | None = None,
    **look: Any,
) -> AxesImage:
    """Draw ``column`` over (dy, dx), each value centred on its shift.

    Args:
        axes: The axes to draw on.
        shifts: Rows with ``dy`` and ``dx``; rows of the same shift are averaged.
        column: The column to draw.
        limits: Values at both ends of the colormap.
        colors: Colormap; viridis by default.
        look: Further arguments of ``imshow``.
    """
    dy, dx, values = plane(shifts, column)
    half_y, half_x = (0.5 * (axis[1] - axis[0] if len(axis) > 1 else 1) for axis in (dy, dx))
    edges = (dx[0] - half_x, dx[-1] + half_x, dy[-1] + half_y, dy[0] - half_y)
    low, high = limits
    return axes.imshow(
        values, extent=edges, cmap=colors or colormap("viridis"), vmin=low, vmax=high, **look
    )


def plane(
    shifts: pd.DataFrame, column: str
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the sorted dy, the sorted dx and the values over them, NaN for missing shifts."""
    table = shifts.pivot_table(index="dy", columns="dx", values=column)
    rows, columns = (_axis(axis.to_numpy(dtype=float)) for axis in (table.index, table.columns))
    values = table.reindex(index=rows, columns=columns).to_numpy(dtype=np.float64)
    return rows, columns, values


def _axis(found: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return evenly spaced positions from the smallest to the largest value."""
    step = float(np.diff(found).min()) if len(found) > 1 else 1.0
    count = round((found[-1] - found[0]) / step) + 1
    return np.asarray(found[0] + step * np.arange(count), dtype=np.float64)


def floor_of(values: pd.Series[float]) -> float:
    """Return the lower end of the color scale, rounded to tenths to make figures comparable."""
    return float(np.floor(min(float(values.min()), 0.95) * 10) / 10)
