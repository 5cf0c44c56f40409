"""The share of images whose predicted class is unchanged, against the length of the shift.

Of protocols with another axis, e.g. of angles, against its values.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from shiftbench.report.figures.axis_label import axis_label
from shiftbench.report.figures.drawing import own_settings
from shiftbench.report.figures.plain_shifts import distances, moved_rows, torus_side
from shiftbench.report.figures.point_labels import Mark, beside_names, pool_legend, write_ends
from shiftbench.report.figures.theme import (
    FigureSpec,
    Theme,
    new_figure,
    pool_styles,
    style_axes,
    write_title,
)
from shiftbench.report.tables.panels import Panel, levels, listed, percent
from shiftbench.storage.result_files import axes_of

UNITS = {"angle": "°", "scale": " px", "resolution": " px", "zoom": "×"}
MOST_CURVES = 12
LINES = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (5, 1.5, 1, 1.5)))


def distance_figure(
    panel: Panel, shifts: pd.DataFrame, settings: Mapping[str, Mapping[str, Any]]
) -> FigureSpec | None:
    """Return the figure of one panel, None if its shifts have fewer than two distances.

    Args:
        panel: Rows of the summary.
        shifts: Rows of ``shifts.csv`` with ``config_id``.
        settings: Settings by ``config_id``, which state whether shifts are circular.
    """
    rows = moved_rows(shifts, panel)
    if rows.empty:
        return None
    found = settings.get(str(rows["config_id"].iloc[0]), {})
    lines = curves(rows, torus_side(rows, panel.protocol, found))
    if lines["distance"].nunique() < 2:
        return None
    return FigureSpec(
        name=f"distance-{panel.key}",
        title=f"Share of images that keep their answer, over the shift's distance, {panel.title}",
        alt=_alt(lines, panel.title),
        draw=partial(_draw, lines, panel.title, "shift in px", from_zero=True),
    )


def axis_agreement(panel: Panel, shifts: pd.DataFrame) -> FigureSpec | None:
    """Return the figure of a panel whose protocol has one axis, e.g. the angle; None for others.

    Args:
        panel: Rows of the summary.
        shifts: Rows of ``shifts.csv`` with ``config_id``.
    """
    if shifts.empty:
        return None
    rows = shifts[shifts["protocol"] == panel.protocol]
    used = [name for name in axes_of(list(shifts.columns)) if rows[name].notna().any()]
    if len(used) != 1:
        return None
    named = panel.rows[["config_id", "label", "pool", "augment"]]
    own = rows.dropna(subset=["agreement"]).merge(named, on="config_id")
    lines = _over_runs(own.assign(distance=own[used[0]].astype(float)))
    if lines["distance"].nunique() < 2:
        return None
    return FigureSpec(
        name=f"axis-{panel.key}",
        title=f"Share of images that keep their answer, over the {used[0]}, {panel.title}",
        alt=_alt(lines, panel.title, UNITS.get(used[0], "")),
        draw=partial(_draw, lines, panel.title, axis_label(used[0])),
    )


def curves(rows: pd.DataFrame, side: float | None = None) -> pd.DataFrame:
    """Return one row per configuration and rounded distance: value, low and high over its runs.

    Args:
        rows: What :func:`~shiftbench.report.figures.plain_shifts.moved_rows` returns.
        side: Side of the torus for circular shifts, None for other shifts.

    Returns:
        label, pool, augment, distance, value, low, high; without the unshifted image, which
        always agrees with itself.
    """
    away = distances(rows["dy"].to_numpy(dtype=float), rows["dx"].to_numpy(dtype=float), side)
    return _over_runs(rows.assign(distance=np.floor(away + 0.5))[away > 0])


def _over_runs(rows: pd.DataFrame) -> pd.DataFrame:
    """Return value, low and high over the runs for every configuration and ``distance``."""
    rows = rows.assign(weight=rows["n_images"].fillna(1))
    rows = rows.assign(part=rows["agreement"] * rows["weight"])
    keys = ["label", "pool", "augment", "distance"]
    sums = rows.groupby([*keys, "run_id"], sort=False)[["part", "weight"]].sum()
    values = (sums["part"] / sums["weight"]).rename("value").reset_index()
    grouped = values.groupby(keys, sort=False)["value"]
    lines = grouped.agg(value="mean", low="min", high="max").reset_index()
    return lines.sort_values("distance", kind="stable", ignore_index=True)


def _alt(lines: pd.DataFrame, title: str, unit: str = " px") -> str:
    series = []
    for name, line in lines.groupby("label", sort=False):
        first, last = line.iloc[0], line.iloc[-1]
        series.append(
            f"{name}: {percent(first['value'])} at {first['distance']:g}{unit}, "
            f"{percent(last['value'])} at {last['distance']:g}{unit}"
        )
    return f"Lines, share of images that keep their answer under {title}. {listed(series)}."


@own_settings()
def _draw(
    lines: pd.DataFrame, title: str, xlabel: str, theme: Theme, *, from_zero: bool = False
) -> Figure:
    figure = new_figure(theme, 5.0, 4.2)
    many = lines["label"].nunique() > MOST_CURVES
    pools = list(dict.fromkeys(lines["pool"]))
    named = not many and lines["label"].nunique() > 1
    axes = figure.add_axes(beside_names(lines["label"]) if named else (0.135, 0.125, 0.83, 0.745))
    style_axes(axes, theme)
    write_title(figure, theme, title)
    marks = []
    if many:
        _draw_all(axes, theme, lines)
        _draw_means(axes, theme, lines, pools[:MOST_CURVES])
    else:
        marks = _draw_lines(axes, theme, lines)
    axes.set(xlabel=xlabel, ylabel="share that keeps its answer →",
             xlim=_range(lines["distance"], from_zero))  # fmt: skip
    low = float(lines["low"].min())
    axes.set_ylim(max(0.0, low - 0.08 * (1 - low)) if low < 0.98 else 0.9, 1.005)
    whole = bool((lines["distance"] == lines["distance"].round()).all())
    axes.xaxis.set_major_locator(MaxNLocator(7, integer=whole))
    if named:
        write_ends(axes, theme, marks)
    else:
        pool_legend(axes, theme, pools)
    return figure


def _range(distance: pd.Series[float], from_zero: bool) -> tuple[float, float]:
    low, high = float(distance.min()), float(distance.max())
    if from_zero:
        return 0.0, high + 0.5
    margin = 0.03 * (high - low)
    return low - margin, high + margin


def _draw_lines(axes: Axes, theme: Theme, lines: pd.DataFrame) -> list[Mark]:
    """Draw one line per configuration: colour is the pool, dash pattern the augmentation."""
    order = levels([str(level) for level in lines["augment"]])
    band = min(0.18, 0.5 / lines["label"].nunique())  # fainter for many lines, whose bands overlap
    marks = []
    for _, line in lines.groupby("label", sort=False):
        style = LINES[order.index(str(line["augment"].iloc[0])) % len(LINES)]
        marks.append(_draw_line(axes, theme, line, style, band))
    return marks


def _draw_line(axes: Axes, theme: Theme, line: pd.DataFrame, style: Any, band: float) -> Mark:
    """Draw a configuration and the range over its seeds; return its name and its end point."""
    pool = str(line["pool"].iloc[0])
    look = pool_styles([pool], theme)[pool]
    axes.plot(line["distance"], line["value"], color=look["color"], zorder=3, linestyle=style,
              linewidth=1.6, marker=look["marker"], markersize=3.5, markeredgewidth=0)  # fmt: skip
    if (line["high"] > line["low"]).any():
        axes.fill_between(line["distance"], line["low"], line["high"], color=look["color"],
                          alpha=band, linewidth=0, zorder=2)  # fmt: skip
    last = line.iloc[-1]
    return Mark(str(last["label"]), float(last["distance"]), float(last["value"]), look["color"])


def _draw_all(axes: Axes, theme: Theme, lines: pd.DataFrame) -> None:
    """Draw every configuration as a faint line behind the means of the pools."""
    styles = pool_styles(lines["pool"], theme)
    order = lines.sort_values(["label", "distance"])
    ends = np.flatnonzero(order["label"].to_numpy()[1:] != order["label"].to_numpy()[:-1]) + 1
    paths = np.split(order[["distance", "value"]].to_numpy(dtype=float), ends)
    pools = order["pool"].to_numpy()[[0, *ends]]
    axes.add_collection(LineCollection(
        paths, colors=[styles[str(pool)]["color"] for pool in pools], linewidths=0.6, alpha=0.25
    ))  # fmt: skip


def _draw_means(axes: Axes, theme: Theme, lines: pd.DataFrame, pools: list[str]) -> None:
    means = lines.groupby(["pool", "distance"])["value"].mean()
    for pool in pools:
        look = pool_styles([pool], theme)[pool]
        mean = means[pool]
        axes.plot(mean.index, mean, color=look["color"], linewidth=2.4, zorder=4,
                  marker=look["marker"], markersize=5, markeredgewidth=0)  # fmt: skip
