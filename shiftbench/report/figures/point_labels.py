"""Labels beside the points of a figure, placed where they do not overlap."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.lines import Line2D
from matplotlib.patheffects import AbstractPathEffect, withStroke
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from shiftbench.report.figures.theme import Theme, plain, pool_styles

MOST_POOLS, IN_A_ROW = 12, 6
LONGEST_END = 26  # characters

# Positions of a label relative to its point, in points: (dx, dy, horizontal, vertical).
PLACES = (
    (6, 5, "left", "bottom"), (6, -5, "left", "top"), (-6, 5, "right", "bottom"),
    (-6, -5, "right", "top"), (8, 0, "left", "center"), (-8, 0, "right", "center"),
    (0, 8, "center", "bottom"), (0, -8, "center", "top"), (6, 15, "left", "bottom"),
    (6, -15, "left", "top"), (-6, 15, "right", "bottom"), (-6, -15, "right", "top"),
    (6, 25, "left", "bottom"), (-6, -25, "right", "top"),
)  # fmt: skip
# Share of a label that lies left of, or below, its anchor.
SHARE = {"left": 0.0, "center": 0.5, "right": 1.0, "bottom": 0.0, "top": 1.0}


@dataclass(frozen=True)
class Mark:
    """A label and its point, in data coordinates."""

    text: str
    x: float
    y: float
    color: str
    bold: bool = False


def write_marks(
    axes: Axes, theme: Theme, marks: Sequence[Mark], points: NDArray[np.float64]
) -> int:
    """Write labels in order where they cover neither another label nor a point.

    Args:
        axes: Axes whose limits are final, since these decide where there is room.
        theme: Theme of the page.
        marks: Labels in order of importance.
        points: ``(P, 2)`` in data coordinates, to be kept free.

    Returns:
        The number of labels without room, which are not written.
    """
    renderer = FigureCanvasAgg(axes.figure).get_renderer()  # type: ignore[arg-type,no-untyped-call]
    inside = axes.get_window_extent(renderer)
    pixels = axes.transData.transform(points) if len(points) else np.zeros((0, 2))
    halo = withStroke(linewidth=2.5, foreground=theme.paper)  # legible over lines
    taken: list[Bbox] = []
    left_out = 0
    for mark in marks:
        box = _write(axes, mark, halo, inside, taken, pixels)
        if box is None:
            left_out += 1
        else:
            taken.append(box)
    return left_out


def _write(
    axes: Axes,
    mark: Mark,
    halo: AbstractPathEffect,
    inside: Bbox,
    taken: Sequence[Bbox],
    pixels: NDArray[np.float64],
) -> Bbox | None:
    """Write one label at the first free position; return its box, None if no position is free."""
    text = axes.annotate(
        plain(mark.text), (mark.x, mark.y), xytext=(0, 0), textcoords="offset points",
        color=mark.color, fontsize=8.5, parse_math=False, zorder=6, path_effects=[halo],
        fontweight="bold" if mark.bold else "normal",
    )  # fmt: skip
    size = text.get_window_extent()
    per_point = axes.get_figure(root=True).dpi / 72  # type: ignore[union-attr]
    point = axes.transData.transform((mark.x, mark.y))
    for dx, dy, horizontal, vertical in PLACES:
        x = point[0] + dx * per_point - SHARE[horizontal] * size.width
        y = point[1] + dy * per_point - SHARE[vertical] * size.height
        box = Bbox.from_bounds(x, y, size.width, size.height)
        covered = bool(_within(pixels, box.expanded(1.02, 1.1)).any())
        if not covered and _contains(inside, box) and not any(map(box.overlaps, taken)):
            text.set(position=(dx, dy), horizontalalignment=horizontal, verticalalignment=vertical)
            return box
    text.remove()
    return None


def _within(pixels: NDArray[np.float64], box: Bbox) -> NDArray[np.bool_]:
    low, high = np.array([box.x0, box.y0]) - 3, np.array([box.x1, box.y1]) + 3
    return np.asarray(((pixels > low) & (pixels < high)).all(axis=1))


def _contains(outer: Bbox, inner: Bbox) -> bool:
    return bool(
        inner.x0 >= outer.x0 - 2
        and inner.x1 <= outer.x1 + 12
        and inner.y0 >= outer.y0 - 2
        and inner.y1 <= outer.y1 + 2
    )


def beside_names(names: Iterable[str]) -> tuple[float, float, float, float]:
    """Return a box for axes that leaves room on the right for the labels of their lines."""
    longest = max(min(len(name), LONGEST_END) for name in names)
    return 0.135, 0.125, 0.805 - 0.0146 * max(longest, 6), 0.785


def write_ends(axes: Axes, theme: Theme, marks: Sequence[Mark], gap: float = 0.045) -> None:
    """Write the labels of lines at their right ends, moved apart where they would overlap.

    Args:
        axes: Axes whose limits are final, with room to the right.
        theme: Theme of the page.
        marks: One per line, at its last point.
        gap: Least distance of two labels, as a fraction of the height.
    """
    order = sorted(marks, key=lambda mark: mark.y)
    to_axes = axes.transData + axes.transAxes.inverted()
    at = np.array([to_axes.transform((mark.x, mark.y)) for mark in order])
    heights = _apart(at[:, 1], gap)
    for mark, place, height in zip(order, at, heights, strict=True):
        axes.annotate(
            plain(mark.text, LONGEST_END), place, xytext=(1.03, height), xycoords="axes fraction",
            textcoords="axes fraction", va="center", color=mark.color, fontsize=8.5,
            parse_math=False, annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": theme.muted, "linewidth": 0.5, "shrinkA": 1,
                        "shrinkB": 2},
        )  # fmt: skip


def _apart(heights: NDArray[np.float64], gap: float) -> NDArray[np.float64]:
    """Return sorted heights moved at least ``gap`` apart, within 0..1 if that many fit."""
    gap = min(gap, 1 / max(len(heights) - 1, 1))
    steps = gap * np.arange(len(heights))
    up = np.maximum.accumulate(heights - steps) + steps
    down = np.minimum(up, 1 - steps[::-1])
    return np.asarray(np.maximum(down, steps))


def pool_legend(axes: Axes, theme: Theme, pools: Sequence[str]) -> None:
    """Write a legend of the pools' colours and markers above the axes, unless there are many."""
    if len(pools) > MOST_POOLS:
        return
    if len(pools) > IN_A_ROW:  # leaves room for a second row below the title
        place = axes.get_position()
        axes.set_position((place.x0, place.y0, place.width, place.height - 0.055))
    styles = pool_styles(pools, theme)
    handles = [
        Line2D([], [], linestyle="none", markersize=6, label=plain(pool, 14), **styles[pool])
        for pool in pools
    ]
    legend = axes.legend(
        handles=handles, loc="lower left", bbox_to_anchor=(-0.02, 1.0), frameon=False,
        ncols=min(len(pools), IN_A_ROW), fontsize=8.5, handletextpad=0.1, columnspacing=0.9,
        borderaxespad=0.2, labelcolor=theme.ink,
    )  # fmt: skip
    for text in legend.get_texts():
        text.set_parse_math(False)
