"""Agreement over the plane of shifts, one heat map per configuration on a common colour scale."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator

from shiftbench.report.figures.drawing import colormap, own_settings
from shiftbench.report.figures.plain_shifts import moved_rows
from shiftbench.report.figures.shift_plane import draw_plane, floor_of
from shiftbench.report.figures.theme import FigureSpec, Theme, new_figure, plain, style_axes
from shiftbench.report.tables.panels import Panel, listed, percent

MOST_MAPS = 12
COLUMNS = 4
LEFT, TOP, GAP, TITLE = 0.62, 0.62, 0.2, 0.42  # inches

Box = tuple[float, float, float, float]


def heatmap_figure(panel: Panel, shifts: pd.DataFrame) -> FigureSpec | None:
    """Return the heat maps of the first twelve configurations, None if shifts span no plane.

    Args:
        panel: Rows of the summary.
        shifts: Rows of ``shifts.csv`` with ``config_id``.
    """
    names = list(dict.fromkeys(panel.rows["label"]))
    first = panel.rows[panel.rows["label"].isin(names[:MOST_MAPS])]
    rows = moved_rows(shifts, Panel(panel.key, panel.title, first))
    if rows.empty or rows["dy"].nunique() < 2 or rows["dx"].nunique() < 2:
        return None
    maps = rows.groupby(["label", "dy", "dx"], sort=False)["agreement"].mean().reset_index()
    cut = f" (the first {MOST_MAPS} of {len(names)})" if len(names) > MOST_MAPS else ""
    return FigureSpec(
        name=f"heatmaps-{panel.key}",
        title=f"Where answers hold: agreement with the unshifted image, {panel.title}{cut}",
        alt=_alt(maps, panel.title + cut),
        draw=partial(_draw, maps, f"{panel.title}{cut}"),
        wide=maps["label"].nunique() > 2,
    )


def _alt(maps: pd.DataFrame, title: str) -> str:
    series = []
    for name, part in maps[(maps["dy"] != 0) | (maps["dx"] != 0)].groupby("label", sort=False):
        worst = part.iloc[int(part["agreement"].to_numpy(dtype=float).argmin())]
        series.append(
            f"{name}: mean {percent(part['agreement'].mean())}, lowest "
            f"{percent(worst['agreement'])} at dy {worst['dy']:g}, dx {worst['dx']:g}"
        )
    return f"Heat maps of agreement over dy and dx under {title}. {listed(series)}."


@dataclass(frozen=True)
class Layout:
    """Positions of the heat maps, in inches from the upper left corner."""

    columns: int
    lines: int
    side: float

    @classmethod
    def of(cls, count: int) -> Layout:
        """Return a layout of rows with at most four heat maps each, filled evenly."""
        lines = -(-count // COLUMNS)
        return cls(-(-count // lines), lines, 2.0 if count > 2 else 1.75)

    @property
    def width(self) -> float:
        """Width of the figure, including the colour scale."""
        return LEFT + self.columns * (self.side + GAP) + 0.95

    @property
    def height(self) -> float:
        """Height of the figure, including the label at the bottom."""
        return TOP + self.lines * (self.side + TITLE) + 0.23

    def box(self, left: float, top: float, wide: float, high: float) -> Box:
        """Convert a box to matplotlib's figure fractions, from the lower left corner."""
        bottom = self.height - top - high
        return left / self.width, bottom / self.height, wide / self.width, high / self.height

    def map(self, number: int) -> Box:
        """Return the box of a heat map; they are numbered row by row."""
        line, column = divmod(number, self.columns)
        left, top = LEFT + column * (self.side + GAP), TOP + line * (self.side + TITLE)
        return self.box(left, top, self.side, self.side)


@own_settings()
def _draw(maps: pd.DataFrame, title: str, theme: Theme) -> Figure:
    names = list(dict.fromkeys(maps["label"]))
    layout = Layout.of(len(names))
    figure = new_figure(theme, layout.width, layout.height)
    floor = floor_of(maps["agreement"])
    for number, name in enumerate(names):
        axes = figure.add_axes(layout.map(number))
        image = _map(axes, theme, maps[maps["label"] == name], str(name), floor)
        last_in_column = number + layout.columns >= len(names)
        axes.tick_params(labelleft=number % layout.columns == 0, labelbottom=last_in_column)
    _write_around(figure, theme, layout, title)
    _scale(figure, theme, image, layout)
    return figure


def _write_around(figure: Figure, theme: Theme, layout: Layout, title: str) -> None:
    middle, center, _, _ = layout.box(
        LEFT + (layout.columns * (layout.side + GAP) - GAP) / 2,
        TOP + (layout.lines * (layout.side + TITLE) - TITLE) / 2, 0, 0,
    )  # fmt: skip
    figure.text(0.11 / layout.width, 1 - 0.1 / layout.height, plain(title, 80), color=theme.ink,
                fontsize=11, fontweight="bold", va="top", parse_math=False)  # fmt: skip
    figure.text(middle, 0.07 / layout.height, "dx (px to the right)", color=theme.ink,
                fontsize=9.5, ha="center", va="bottom")  # fmt: skip
    figure.text(0.1 / layout.width, center, "dy (px down)", color=theme.ink, fontsize=9.5,
                rotation=90, ha="left", va="center")  # fmt: skip


def _map(axes: Axes, theme: Theme, rows: pd.DataFrame, name: str, floor: float) -> AxesImage:
    style_axes(axes, theme)
    axes.grid(visible=False)
    colors = colormap("viridis").with_extremes(bad=theme.grid)
    image = draw_plane(axes, rows, "agreement", (floor, 1.0), colors, aspect="auto",
                       interpolation="nearest")  # fmt: skip
    axes.plot(0, 0, marker="+", color="#c0262d", markersize=6, markeredgewidth=1.2)
    # Exclude the unshifted image, which always agrees with itself.
    mean = rows.loc[(rows["dy"] != 0) | (rows["dx"] != 0), "agreement"].mean()
    axes.set_title(f"{plain(name, 22)}   {mean:.3f}", fontsize=9, color=theme.ink, loc="left",
                   pad=4, parse_math=False)  # fmt: skip
    axes.tick_params(labelsize=8)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(4, integer=True))
    return image


def _scale(figure: Figure, theme: Theme, image: AxesImage, layout: Layout) -> None:
    """Draw the common colour scale to the right of the first rows."""
    high = min(layout.lines, 2) * (layout.side + TITLE) - TITLE
    left = LEFT + layout.columns * (layout.side + GAP)
    axes = figure.add_axes(layout.box(left, TOP, 0.12, high))
    bar: Any = figure.colorbar(image, cax=axes)
    bar.outline.set_visible(False)
    axes.tick_params(colors=theme.muted, labelcolor=theme.ink, labelsize=8, length=2)
    axes.set_ylabel("agreement", color=theme.ink, fontsize=9)
