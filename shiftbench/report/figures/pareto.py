"""Accuracy against consistency, and the Pareto front of the configurations."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from shiftbench.report.figures.drawing import own_settings
from shiftbench.report.figures.point_labels import Mark, pool_legend, write_marks
from shiftbench.report.figures.theme import (
    FigureSpec,
    Theme,
    new_figure,
    pool_styles,
    span_of,
    style_axes,
    whiskers,
    write_title,
)
from shiftbench.report.tables.panels import Panel, listed, percent

X, Y = "consistency", "accuracy"
MOST_NAMES = 30
MOST_WHISKERS = 60  # more would cover the points


def on_front(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which rows of ``values: (P, 2)`` are on the Pareto front; equal rows are all on it.

    A row is dominated if another is at least as high in both columns and higher in one.

    >>> on_front(np.array([[0.9, 0.1], [0.5, 0.5], [0.5, 0.5], [0.4, 0.5], [0.1, 0.9]]))
    array([ True,  True,  True, False,  True])
    """
    values = np.asarray(values, dtype=np.float64)
    at_least = (values[:, None] >= values[None]).all(axis=-1)
    above = (values[:, None] > values[None]).any(axis=-1)
    beaten = (at_least & above).any(axis=0)
    return np.asarray(~beaten & ~np.isnan(values).any(axis=1))


def pareto_figure(panel: Panel, runs: pd.DataFrame | None = None) -> FigureSpec | None:
    """Return the figure of one panel, None if fewer than two configurations are finished.

    Args:
        panel: Rows of the summary.
        runs: One row per run and protocol: config_id, protocol, accuracy, consistency.
    """
    measured = panel.having(X, Y)
    if measured is None or len(measured.rows) < 2:
        return None
    panel = measured
    rows = panel.rows.assign(front=on_front(panel.rows[[X, Y]].to_numpy(dtype=float)))
    singles = _singles(rows, runs)
    return FigureSpec(
        name=f"pareto-{panel.key}",
        title=f"Accuracy against consistency under {panel.title}: up and to the right is better",
        alt=_alt(rows, panel.title),
        draw=partial(_draw, rows, singles, panel.title),
    )


def _singles(rows: pd.DataFrame, runs: pd.DataFrame | None) -> pd.DataFrame:
    """Return the single runs of configurations that have more than one run."""
    if runs is None or runs.empty:
        return pd.DataFrame(columns=["pool", X, Y])
    keys = ["config_id", "protocol"]
    # With very many points, single runs would cover them.
    if len(rows) > MOST_WHISKERS:
        return pd.DataFrame(columns=["pool", X, Y])
    several = runs[runs.groupby(keys)[X].transform("count") > 1]
    return rows[[*keys, "pool"]].merge(several[[*keys, X, Y]], on=keys)


def _alt(rows: pd.DataFrame, title: str) -> str:
    front = rows[rows["front"]].sort_values(X, ascending=False)
    rest = rows[~rows["front"]].sort_values(X, ascending=False)
    text = f"Scatter plot, {title}. On the Pareto front: {listed(_points(front))}."
    return f"{text} Beaten in both: {listed(_points(rest))}." if len(rest) else text


def _points(rows: pd.DataFrame) -> list[str]:
    points = zip(rows["label"], rows[X], rows[Y], strict=True)
    return [f"{label}, consistency {percent(x)}, accuracy {percent(y)}" for label, x, y in points]


@own_settings()
def _draw(rows: pd.DataFrame, singles: pd.DataFrame, title: str, theme: Theme) -> Figure:
    figure = new_figure(theme, 5.0, 4.2)
    axes = figure.add_axes((0.135, 0.125, 0.83, 0.745))
    style_axes(axes, theme)
    axes.set(xlabel="consistency (two shifts, same answer) →", ylabel="accuracy →")
    write_title(figure, theme, title)
    _draw_front(axes, rows[rows["front"]], theme)
    _draw_points(axes, rows, singles, theme)
    _limits(axes, rows, singles)
    pool_legend(axes, theme, list(dict.fromkeys(rows["pool"])))
    _name_points(axes, rows, singles, theme)
    return figure


def _draw_front(axes: Axes, front: pd.DataFrame, theme: Theme) -> None:
    """Draw the front as a step line; configurations below and left of it are dominated."""
    order = front.sort_values([X, Y], ascending=[True, False])
    x, y = order[X].to_numpy(dtype=float), order[Y].to_numpy(dtype=float)
    axes.step([-1, *x, x[-1]], [y[0], *y, -1], where="pre", color=theme.muted, linewidth=1.1,
              linestyle=(0, (4, 2)), zorder=2)  # fmt: skip


def _draw_points(axes: Axes, rows: pd.DataFrame, singles: pd.DataFrame, theme: Theme) -> None:
    styles = pool_styles(rows["pool"], theme)
    colors = [styles[str(pool)]["color"] for pool in singles["pool"]]
    axes.scatter(singles[X], singles[Y], s=7, color=colors, alpha=0.6, linewidths=0, zorder=3)
    # Not one by one: user-defined pools share few styles, and there may be hundreds of points.
    looked = rows.assign(**{
        name: [styles[str(pool)][name] for pool in rows["pool"]] for name in ("color", "marker")
    })  # fmt: skip
    for key, part in looked.groupby(["front", "color", "marker"]):
        front, (color, marker) = bool(key[0]), map(str, key[1:])
        if len(rows) <= MOST_WHISKERS:
            axes.errorbar(part[X], part[Y], xerr=_whiskers(part, X), yerr=_whiskers(part, Y),
                          fmt="none", ecolor=color, elinewidth=1, alpha=0.75 if front else 0.3,
                          zorder=3)  # fmt: skip
        axes.scatter(part[X], part[Y], s=62 if front else 40, marker=marker, facecolor=color,
                     alpha=1.0 if front else 0.5, edgecolor=theme.paper, linewidth=0.8,
                     zorder=5 if front else 4)  # fmt: skip


def _whiskers(rows: pd.DataFrame, name: str) -> NDArray[np.float64]:
    return whiskers(rows[name], rows[f"{name}_ci_low"], rows[f"{name}_ci_high"])


def _limits(axes: Axes, rows: pd.DataFrame, singles: pd.DataFrame) -> None:
    """Set the limits to points and whiskers, wide enough not to magnify noise."""
    with_whiskers = len(rows) <= MOST_WHISKERS
    for name, setter, right in ((X, axes.set_xlim, 0.16), (Y, axes.set_ylim, 0.06)):
        seen: list[Any] = [rows[name], singles[name]]
        if with_whiskers:
            seen += [rows[f"{name}_ci_low"], rows[f"{name}_ci_high"]]
        middle, span = span_of(seen)
        setter(middle - 0.56 * span, middle + (0.5 + right) * span)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.yaxis.set_major_locator(MaxNLocator(6))


def _name_points(axes: Axes, rows: pd.DataFrame, singles: pd.DataFrame, theme: Theme) -> None:
    styles = pool_styles(rows["pool"], theme)
    order = rows.sort_values(["front", X], ascending=False).head(MOST_NAMES)
    marks = [
        Mark(str(label), float(x), float(y), styles[str(pool)]["color"], bool(front))
        for label, x, y, pool, front in order[["label", X, Y, "pool", "front"]].to_numpy()
    ]
    points = pd.concat([part[[X, Y]].astype(float) for part in (rows, singles) if len(part)])
    missing = write_marks(axes, theme, marks, points.to_numpy())
    missing += max(len(rows) - MOST_NAMES, 0)
    if missing:
        axes.figure.text(0.975, 0.972, f"{missing} of {len(rows)} not named; see the table",
                         ha="right", va="top", fontsize=7.5, color=theme.muted)  # fmt: skip
