"""Consistency against the level of shift augmentation, one line per pool."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from shiftbench.report.figures.drawing import own_settings
from shiftbench.report.figures.point_labels import Mark, beside_names, pool_legend, write_ends
from shiftbench.report.figures.theme import (
    FigureSpec,
    Theme,
    new_figure,
    plain,
    pool_styles,
    span_of,
    style_axes,
    whiskers,
    write_title,
)
from shiftbench.report.tables.labels import labels
from shiftbench.report.tables.panels import Panel, levels, listed, percent

METRIC = "consistency"
MOST_SERIES = 12
WIDTH, HEIGHT = 5.0, 4.2
LETTER, TALL = 0.08, 0.0145  # of a character: inches across, share of the height upright
LINE = 0.0355  # height of a name beside the axes, as a share of the figure's height


def augmentation_figure(panel: Panel) -> FigureSpec | None:
    """Return the figure of one panel, None if it has a single level of augmentation."""
    measured = panel.having(METRIC)
    if measured is None:
        return None
    panel = measured
    order = levels([str(level) for level in panel.rows["augment"]])
    if len(order) < 2:
        return None
    rows = series(panel.rows)
    means = rows.groupby("series")["value"].mean().nlargest(MOST_SERIES)
    count = rows["series"].nunique()
    cut = f" (the {MOST_SERIES} most consistent of {count} pools)" if count > MOST_SERIES else ""
    rows = rows[rows["series"].isin(means.index)]
    return FigureSpec(
        name=f"augmentation-{panel.key}",
        title=f"Consistency against shift augmentation in training, under {panel.title}{cut}",
        alt=_alt(rows, order, panel.title),
        draw=partial(_draw, rows, order, panel.title),
    )


def series(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row per line and level: series, pool, augment, value, low, high.

    A line is one configuration at every level of augmentation. If there are more than twelve, a
    line is the mean over all configurations of a pool and has no interval.
    """
    named = pd.DataFrame({
        "series": labels(rows, leave_out=("augment",)),
        "pool": rows["pool"].astype(str),
        "augment": rows["augment"].astype(str),
        "value": rows[METRIC].astype(float),
        "low": rows[f"{METRIC}_ci_low"].astype(float),
        "high": rows[f"{METRIC}_ci_high"].astype(float),
    })  # fmt: skip
    if named["series"].nunique() > MOST_SERIES:
        named = named.assign(series=named["pool"], low=np.nan, high=np.nan)
    keys = ["series", "pool", "augment"]
    return named.groupby(keys, sort=False)[["value", "low", "high"]].mean().reset_index()


def _alt(rows: pd.DataFrame, order: list[str], title: str) -> str:
    series = []
    for name, part in rows.groupby("series", sort=False):
        values = part.set_index("augment")["value"]
        steps = (f"{percent(values[level])} with {level}" for level in order if level in values)
        series.append(f"{name}: {', '.join(steps)}")
    return f"Dots and lines, consistency under {title} per level of augmentation. {listed(series)}."


@own_settings()
def _draw(rows: pd.DataFrame, order: list[str], title: str, theme: Theme) -> Figure:
    figure = new_figure(theme, WIDTH, HEIGHT)
    names = list(dict.fromkeys(rows["series"]))
    with_ends = set(names) != set(rows["pool"])
    box = beside_names(names) if with_ends else (0.135, 0.125, 0.83, 0.745)
    axes = figure.add_axes(box)
    style_axes(axes, theme)
    axes.grid(axis="x", visible=False)
    write_title(figure, theme, title)
    offsets = dict(zip(names, np.linspace(-1, 1, len(names)) * _dodge(len(names)), strict=True))
    marks = [
        _draw_series(axes, theme, part, order, offsets[str(name)])
        for name, part in rows.groupby("series", sort=False)
    ]
    _name_levels(axes, [plain(level, 16) for level in order])
    axes.set(xlabel="shift augmentation in training", ylabel="consistency →",
             xlim=(-0.5, len(order) - 0.5))  # fmt: skip
    _limits(axes, rows)
    if with_ends:
        write_ends(axes, theme, marks, gap=LINE / axes.get_position().height)
    else:
        pool_legend(axes, theme, list(dict.fromkeys(rows["pool"])))
    return figure


def _name_levels(axes: Axes, names: list[str]) -> None:
    """Write the levels below the axis, upright if they would overlap otherwise."""
    axes.set_xticks(range(len(names)), names, parse_math=False)
    box, longest = axes.get_position(), max(map(len, names))
    if longest * LETTER * len(names) <= box.width * WIDTH:
        return
    axes.tick_params(axis="x", rotation=90, labelsize=7)
    lift = TALL * longest
    axes.set_position((box.x0, box.y0 + lift, box.width, box.height - lift))


def _dodge(count: int) -> float:
    return min(0.32, 0.06 * (count - 1))


def _draw_series(
    axes: Axes, theme: Theme, rows: pd.DataFrame, order: list[str], offset: float
) -> Mark:
    """Draw a line with its intervals; return its name and its end point."""
    rows = rows.assign(x=[order.index(level) for level in rows["augment"]]).sort_values("x")
    pool = str(rows["pool"].iloc[0])
    look = pool_styles([pool], theme)[pool]
    x, value = rows["x"].to_numpy(dtype=float) + offset, rows["value"].to_numpy(dtype=float)
    axes.plot(x, value, color=look["color"], linewidth=1, alpha=0.35, zorder=2)
    axes.errorbar(x, value, yerr=whiskers(value, rows["low"], rows["high"]), fmt="none",
                  ecolor=look["color"], elinewidth=1.2, zorder=3)  # fmt: skip
    axes.scatter(x, value, s=46, facecolor=look["color"], marker=look["marker"],
                 edgecolor=theme.paper, linewidth=0.8, zorder=4)  # fmt: skip
    return Mark(str(rows["series"].iloc[0]), float(x[-1]), float(value[-1]), look["color"])


def _limits(axes: Axes, rows: pd.DataFrame) -> None:
    middle, span = span_of([rows["value"], rows["low"], rows["high"]])
    axes.set_ylim(middle - 0.56 * span, middle + 0.56 * span)
    axes.yaxis.set_major_locator(MaxNLocator(6))
