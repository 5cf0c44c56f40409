"""Figures of the measurements that decide published findings."""

from __future__ import annotations

from functools import partial
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, ScalarFormatter
from numpy.typing import NDArray

from shiftbench.claims import Judged, Plot, Series
from shiftbench.report.figures.drawing import own_settings
from shiftbench.report.figures.theme import (
    MARKERS,
    SPARE_MARKERS,
    FigureSpec,
    Theme,
    new_figure,
    plain,
    style_axes,
    whiskers,
)
from shiftbench.report.tables.panels import listed

WIDTH, HEIGHT = 5.0, 3.1
ROW = 0.21  # inches per line of the legend
LONGEST_NAME = 52
LONGEST_GROUP = 40
UPRIGHT = 46  # characters of all group names together; bars are horizontal above it
LYING = 0.42  # inches per group of horizontal bars
LETTER = 0.0118  # width of a character, as a share of the figure's width
LEFT, RIGHT, TOP = 0.13, 0.97, 0.16  # shares of the width; TOP in inches


def claim_figure(one: Judged) -> FigureSpec | None:
    """Return the figure of a claim, None if there is nothing to draw."""
    plot = one.finding.plot if one.finding else None
    if plot is None or not any(part.y for part in plot.series):
        return None
    return FigureSpec(
        name=f"claim-{one.claim.key}",
        title=f"{one.claim.key}: {plot.y_label} by {plot.x_label}",
        alt=_alt(plot),
        draw=partial(_draw, plot),
    )


def _alt(plot: Plot) -> str:
    series = []
    for part in plot.series:
        names = [plot.x_names[int(x)] if plot.x_names else f"{x:g}" for x in part.x]
        points = [f"{name}: {y:.3g}" for name, y in zip(names, part.y, strict=True)]
        series.append(f"{part.name} ({listed(points)})")
    kind = {"lines": "Lines", "bars": "Bars", "dots": "Dots"}[plot.kind]
    return f"{kind}, {plot.y_label} by {plot.x_label}. {listed(series)}."


@own_settings()
def _draw(plot: Plot, theme: Theme) -> Figure:
    named = len(plot.series) > 1
    lying = _is_lying(plot)
    bottom = 0.5 + (ROW * len(plot.series) + 0.1 if named else 0.0)
    height = bottom - 0.5 + (LYING * len(plot.x_names) + 0.7 if lying else HEIGHT)
    figure = new_figure(theme, WIDTH, height)
    left = 0.03 + LETTER * _longest(plot) if lying else LEFT
    axes = figure.add_axes((left, bottom / height, RIGHT - left, (height - bottom - TOP) / height))
    style_axes(axes, theme)
    {"lines": _lines, "bars": _bars, "dots": _dots}[plot.kind](axes, plot, theme)
    axes.set_xlabel(plain(plot.y_label if lying else plot.x_label, 60), parse_math=False)
    if not lying:  # horizontal bars are named by their tick labels
        axes.set_ylabel(plain(plot.y_label, 44), parse_math=False)
    if plot.log:
        _logarithmic(axes)
    if named:
        _legend(figure, axes, theme)
    return figure


def _is_lying(plot: Plot) -> bool:
    """Whether bars are horizontal because their names do not fit side by side."""
    return sum(map(len, plot.x_names)) > UPRIGHT


def _longest(plot: Plot) -> int:
    return max(len(plain(name, LONGEST_GROUP)) for name in plot.x_names)


def _styles(plot: Plot, theme: Theme) -> list[dict[str, Any]]:
    """Return colour and marker of every series: those of its pool, otherwise the next free ones."""
    of_pools = {part.pool or part.name for part in plot.series}
    free = [theme.pools[name] for name in ("blur", "max", "aps") if name not in of_pools]
    colors = cycle([*free, *theme.spare])
    markers = cycle(["o", "s", "D", *SPARE_MARKERS])
    found = []
    for part in plot.series:
        pool = part.pool or part.name
        if part.published:
            found.append({"color": theme.muted, "marker": "d"})
        elif pool in theme.pools:
            found.append({"color": theme.pools[pool], "marker": MARKERS[pool]})
        else:
            found.append({"color": next(colors), "marker": next(markers)})
    return found


def _whiskers(part: Series) -> NDArray[np.float64] | None:
    return whiskers(part.y, part.low, part.high) if part.low else None


def _lines(axes: Axes, plot: Plot, theme: Theme) -> None:
    for part, style in zip(plot.series, _styles(plot, theme), strict=True):
        face = theme.paper if part.published else style["color"]
        axes.errorbar(
            part.x, part.y, yerr=_whiskers(part), label=plain(part.name, LONGEST_NAME),
            linestyle=(0, (4, 2)) if part.published else "-", linewidth=1.5, markersize=5,
            elinewidth=1.1, capsize=2, markerfacecolor=face, zorder=3 + part.published, **style,
        )  # fmt: skip
    if not plot.log:
        axes.yaxis.set_major_locator(MaxNLocator(6))
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))


def _bars(axes: Axes, plot: Plot, theme: Theme) -> None:
    lying = _is_lying(plot)
    measured = [part for part in plot.series if not part.published]
    width = 0.74 / max(len(measured), 1)
    positions = iter(np.arange(len(measured)) - (len(measured) - 1) / 2)
    for part, style in zip(plot.series, _styles(plot, theme), strict=True):
        name = plain(part.name, LONGEST_NAME)
        if part.published:
            points = (part.y, part.x) if lying else (part.x, part.y)
            axes.plot(*points, linestyle="none", label=name, markersize=8, zorder=5,
                      markerfacecolor=theme.paper, markeredgewidth=1.5, **style)  # fmt: skip
            continue
        at = np.array(part.x) + next(positions) * width
        drawn: dict[str, Any] = {
            "color": style["color"], "label": name, "zorder": 3,
            "error_kw": {"ecolor": theme.ink, "elinewidth": 1.1, "capsize": 2, "zorder": 4},
        }  # fmt: skip
        if lying:
            axes.barh(at, part.y, width * 0.92, xerr=_whiskers(part), **drawn)
        else:
            axes.bar(at, part.y, width * 0.92, yerr=_whiskers(part), **drawn)
    _name_groups(axes, [plain(name, LONGEST_GROUP) for name in plot.x_names], lying)


def _name_groups(axes: Axes, names: list[str], lying: bool) -> None:
    positions, limits = range(len(names)), (-0.6, len(names) - 0.4)
    if lying:
        axes.set_yticks(positions, names, parse_math=False, fontsize=8)
        axes.set_ylim(*reversed(limits))
    else:
        axes.set_xticks(positions, names, parse_math=False)
        axes.set_xlim(*limits)
    axes.grid(axis="y" if lying else "x", visible=False)


def _dots(axes: Axes, plot: Plot, theme: Theme) -> None:
    for part, style in zip(plot.series, _styles(plot, theme), strict=True):
        axes.scatter(part.x, part.y, s=44, label=plain(part.name, LONGEST_NAME), zorder=3,
                     edgecolor=theme.paper, linewidth=0.8, **style)  # fmt: skip
    if plot.zero:
        for line in (axes.axhline, axes.axvline):
            line(0, color=theme.muted, linewidth=1, zorder=2)
    axes.margins(0.12)
    axes.xaxis.set_major_locator(MaxNLocator(5))


def _logarithmic(axes: Axes) -> None:
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.xaxis.set_major_formatter(ScalarFormatter())


def _legend(figure: Figure, axes: Axes, theme: Theme) -> None:
    handles, names = axes.get_legend_handles_labels()
    order = sorted(range(len(names)), key=lambda number: names[number] == "published")
    legend = figure.legend(
        [handles[number] for number in order], [names[number] for number in order],
        loc="lower left", bbox_to_anchor=(LEFT - 0.03, 0.0), frameon=False, fontsize=8.5,
        labelcolor=theme.ink, labelspacing=0.35, borderaxespad=0.3,
    )  # fmt: skip
    for text in legend.get_texts():
        text.set_parse_math(False)
