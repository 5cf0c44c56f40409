"""The jagged curve: the probability of the true class while the image moves pixel by pixel.

After Azulay & Weiss, arXiv 1805.12177, fig. 1. For a shift-invariant network the curve is
constant.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from shiftbench.prediction_table import PredictionTable
from shiftbench.report.figures.axis_label import axis_label
from shiftbench.report.figures.drawing import colormap, own_settings, write_png

# Okabe & Ito's colours and a line style each, distinguishable with any colour vision.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LINES = ("-", "--", "-.", ":")
STEPS = {
    "diagonal": (1, 1),
    "reverse_diagonal": (-1, -1),
    "horizontal": (0, 1),
    "vertical": (1, 0),
}
MOST_VIEWS = 11
SHARES = (0.25, 0.5, 0.75, 0.95)  # the images drawn, as quantiles of the range
WIDTH, MARGIN, CURVE, GAP = 7.0, 0.65, 1.25, 0.45  # inches


@dataclass(frozen=True)
class ShiftPath:
    """The columns of a table that lie on its protocol's path, in order.

    Attributes:
        columns: ``(P,)`` columns of the table.
        position: ``(P,)`` pixels along the path; 0 is the unshifted image. On a path along another
            axis, e.g. of angles, the values of that axis.
        name: ``diagonal``, ``reverse_diagonal``, ``horizontal`` or ``vertical``, or the axis.
        base: Position of the base view.
    """

    columns: NDArray[np.int64]
    position: NDArray[np.float64]
    name: str
    base: float = 0.0

    @property
    def label(self) -> str:
        """What the positions are, with the unit."""
        return axis_label(self.name) if self.name not in STEPS else f"{self.name} shift (px)"

    @property
    def gap(self) -> float:
        """Width of a position in a figure: a pixel, or the smallest distance on another axis."""
        gaps = np.diff(self.position)
        return float(gaps.min()) if len(gaps) and self.name not in STEPS else 1.0

    @property
    def has_whole_ticks(self) -> bool:
        """Whether ticks belong at whole numbers."""
        return self.name in STEPS or bool((self.position == self.position.round()).all())


def path_of(table: PredictionTable) -> ShiftPath | None:
    """Return the path through the unshifted image, None if the table has none.

    A path requires that all images have the same shifts, at least three of which lie on the path:
    in a direction of (dy, dx), or along the only axis of the protocol, e.g. ``angle``.
    """
    if len(table.axes) == 1 and table.shifts.ndim == 2:
        return _along_axis(table)
    name = str(table.meta.get("protocol", {}).get("path", "diagonal"))
    if table.shifts.ndim != 2 or table.axes[:2] != ("dy", "dx") or name not in STEPS:
        return None
    step = np.array(STEPS[name], dtype=float)
    shifts = table.shifts[:, :2].astype(float)
    position = shifts @ step / (step @ step)
    on_path = table.sampled & (shifts == position[:, None] * step).all(1)
    if (table.shifts[on_path][:, 2:] != table.shifts[0, 2:]).any() or on_path.sum() < 3:
        return None
    columns = np.flatnonzero(on_path)
    columns = columns[np.argsort(position[columns], kind="stable")]
    return ShiftPath(columns, position[columns], name)


def _along_axis(table: PredictionTable) -> ShiftPath | None:
    values = table.shifts[:, 0].astype(float)
    columns = np.flatnonzero(table.sampled)
    columns = columns[np.argsort(values[columns], kind="stable")]
    if len(columns) < 3:
        return None
    return ShiftPath(columns, values[columns], table.axes[0], float(values[0]))


def typical_images(tables: Sequence[PredictionTable]) -> list[int]:
    """Return the images to draw: at fixed quantiles from stable to unstable, not chosen by hand.

    Images are ranked by the range of the true class's probability along the path, averaged over
    the tables.
    """
    order = np.argsort(_ranges(tables), kind="stable")
    picks = [int(order[round(share * (len(order) - 1))]) for share in SHARES]
    return list(dict.fromkeys(picks))


def _ranges(tables: Iterable[PredictionTable]) -> NDArray[np.float64]:
    """Return ``(N,)``: the range of the true class's probability, summed over the tables."""
    paths = ((table, path_of(table)) for table in tables)
    curves = [table.p_true[:, path.columns].astype(float) for table, path in paths if path]
    ranges: NDArray[np.float64] = np.sum(
        [np.ptp(np.nan_to_num(curve), axis=1) for curve in curves], axis=0
    )
    return ranges


def views_of(path: ShiftPath) -> NDArray[np.int64]:
    """Return at most eleven entries of ``path``, evenly spaced, including the unshifted image.

    >>> line = np.arange(-16.0, 16.0)
    >>> views = views_of(ShiftPath(np.arange(32), line, "diagonal"))
    >>> line[views].astype(int).tolist()
    [-15, -12, -9, -6, -3, 0, 3, 6, 9, 12, 15]
    """
    zero = int(np.abs(path.position - path.base).argmin())
    every = -(-len(path.position) // MOST_VIEWS)
    return np.arange(zero % every, len(path.position), every)


@own_settings()
def jagged(
    tables: Mapping[str, PredictionTable],
    strips: Mapping[int, NDArray[np.uint8]],
    path: Path,
) -> None:
    """Draw for each image a strip of views and below it one curve per table; write a PNG.

    Args:
        tables: By name in the legend; all of the same images and shifts.
        strips: By image, ``(V, H, W, C)``: the views that :func:`views_of` selects.
        path: Path of the PNG.
    """
    first = path_of(next(iter(tables.values())))
    if first is None:
        raise ValueError("the tables have no path to draw; check path_of first")
    views = first.position[views_of(first)]
    step = float(np.diff(views).min()) if len(views) > 1 else first.gap
    left = min(first.position[0] - first.gap / 2, views[0] - step / 2)
    right = max(first.position[-1] + first.gap / 2, views[-1] + step / 2)
    figure, rows = _rows(len(strips), step / (right - left), len(tables) > 1)
    ranges = _ranges(tables.values())
    for (index, images), (above, below) in zip(strips.items(), rows, strict=True):
        _draw_strip(above, images, views, step, (left, right))
        _draw_curves(below, tables, index)
        below.set(xlim=(left, right), ylim=(-0.05, 1.05), yticks=(0, 0.5, 1))
        below.set_ylabel("p(true class)", fontsize=8)
        calmer = float((ranges < ranges[index]).mean())
        title = f"test image {index}: ranges further than {calmer:.0%} of the images"
        above.set_title(title, fontsize=8, loc="left", pad=3)
    rows[-1][1].set_xlabel(f"{first.label}; filled: the answer is right", fontsize=8)
    if len(tables) > 1:
        handles, labels = rows[0][1].get_legend_handles_labels()
        figure.legend(handles, labels, loc="upper right", ncols=4, fontsize=8, frameon=False)
    write_png(figure, path)


def _rows(count: int, share: float, legend: bool) -> tuple[Figure, list[tuple[Axes, Axes]]]:
    """Return a figure with axes for a strip of square images and a curve for each image.

    Args:
        count: Number of images.
        share: Width of one view as a share of the strip's width.
        legend: Whether to leave room for a legend.
    """
    inner = WIDTH - MARGIN - 0.15
    strip = inner * share
    row = strip + CURVE + GAP
    height = count * row + 0.15 + (0.3 if legend else 0)
    figure = Figure(figsize=(WIDTH, height))
    rows = []
    for number in range(count):
        bottom = 0.4 + (count - 1 - number) * row
        places = ((bottom + CURVE, strip), (bottom, CURVE))
        above, below = (
            figure.add_axes((MARGIN / WIDTH, low / height, inner / WIDTH, size / height))
            for low, size in places
        )
        rows.append((above, below))
    return figure, rows


def _draw_strip(
    axes: Axes,
    images: NDArray[np.uint8],
    views: NDArray[np.float64],
    step: float,
    limits: tuple[float, float],
) -> None:
    """Draw every view at the position of its shift."""
    half = 0.47 * step
    for image, view in zip(images, views, strict=True):
        shown = image if image.shape[2] == 3 else image[:, :, 0]
        axes.imshow(shown, extent=(view - half, view + half, 0.03, 0.97), cmap=colormap("gray"),
                    vmin=0, vmax=255, aspect="auto", interpolation="nearest")  # fmt: skip
    axes.set(xlim=limits, ylim=(0, 1))
    axes.set_axis_off()


def _draw_curves(axes: Axes, tables: Mapping[str, PredictionTable], image: int) -> None:
    """Draw a curve for every table; filled points are correct predictions."""
    whole = True
    for number, (name, table) in enumerate(tables.items()):
        path = path_of(table)
        if path is None:
            continue
        whole &= path.has_whole_ticks
        color, line = COLORS[number % len(COLORS)], LINES[number % len(LINES)]
        curve = table.p_true[image, path.columns]
        right = table.top1[image, path.columns] == table.labels[image]
        axes.plot(path.position, curve, line, color=color, linewidth=1.4, label=name)
        axes.scatter(path.position, curve, s=16, edgecolors=color, linewidths=1, zorder=3,
                     facecolors=np.where(right, color, "white"))  # fmt: skip
    axes.xaxis.set_major_locator(MaxNLocator(integer=whole))
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.3)
