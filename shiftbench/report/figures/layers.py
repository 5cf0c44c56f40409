"""Figures of the layer probe: error against depth, and error over the plane of shifts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from shiftbench.report.figures.drawing import colormap, own_settings, write_png
from shiftbench.report.figures.shift_plane import draw_plane

# Okabe & Ito's colours, distinguishable with any colour vision.
BLUE, ORANGE = "#0072B2", "#D55E00"
PANELS = (
    ("equivariance_error", BLUE, "Equivariance: map of the shifted image against the shifted map, "
     "mean over shifts"),
    ("invariance_error", ORANGE, "Invariance: spatial mean of the map, shifted against unshifted"),
)  # fmt: skip
MOST_LABELS = 60
MOST_MAPS = 12


@own_settings()
def depth_figure(rows: pd.DataFrame, path: Path) -> None:
    """Draw both errors of every layer, as means over the shifts, and write a PNG.

    Args:
        rows: Rows of ``layers.csv`` of one run.
        path: Path of the PNG.
    """
    layers = by_layer(rows)
    width = max(6.4, 0.2 * min(len(layers), MOST_LABELS) + 2)
    figure = Figure(figsize=(width, 6), layout="constrained")
    panels = figure.subplots(2, 1, sharex=True)
    for axes, (column, color, title) in zip(panels, PANELS, strict=True):
        axes.plot(layers["index"], layers[column], color=color, marker="o", markersize=4)
        axes.set_title(title, loc="left", fontsize=9)
        axes.set(ylabel="relative error", ylim=(0, _top(layers[column])))
        axes.grid(axis="y", alpha=0.3)
        _mark_subsampling(axes, layers)
    panels[1].set_xlim(-0.7, float(layers["index"].max()) + 0.7)
    _label_layers(panels[1], layers)
    write_png(figure, path)


@own_settings()
def maps_figure(rows: pd.DataFrame, path: Path) -> None:
    """Draw the equivariance error over (dy, dx), a heat map per layer, and write a PNG.

    At most twelve layers: the first, the last, those that subsample and their neighbours. Nothing
    is written if no layer returns a feature map.
    """
    maps = rows[rows["equivariance_error"].notna()]
    if maps.empty:
        return
    chosen = selected(by_layer(maps))
    columns = min(4, len(chosen))
    lines = -(-len(chosen) // columns)
    figure = Figure(figsize=(2.0 * columns + 1.4, 2.25 * lines + 0.5), layout="constrained")
    grid = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True)
    top = max(float(maps["equivariance_error"].max()), 1e-3)
    for axes, index in zip(grid.flat, chosen, strict=False):
        image = _plane(axes, maps[maps["index"] == index], top)
    for axes in grid.flat[len(chosen) :]:
        axes.set_axis_off()
    figure.supxlabel("dx (px to the right)", fontsize=9)
    figure.supylabel("dy (px down)", fontsize=9)
    figure.colorbar(image, ax=grid, label="equivariance error", shrink=0.8)
    write_png(figure, path)


@own_settings()
def rotations_figure(rows: pd.DataFrame, path: Path) -> None:
    """Draw the equivariance error over the angle, a line per layer, and write a PNG.

    At most twelve layers, as in :func:`maps_figure`, dark to light from the first to the last.
    Nothing is written if no layer returns a square feature map.

    Args:
        rows: Rows of ``rotations.csv`` of one run.
        path: Path of the PNG.
    """
    maps = rows[rows["equivariance_error"].notna()]
    if maps.empty:
        return
    chosen = selected(_each(maps))
    figure = Figure(figsize=(7.5, 4), layout="constrained")
    axes = figure.subplots()
    colors = colormap("cividis")(np.linspace(0, 0.9, len(chosen)))
    for index, color in zip(chosen, colors, strict=True):
        layer = maps[maps["index"] == index].sort_values("angle")
        label = f"{layer['layer'].iloc[0]}  {layer['kind'].iloc[0]}"
        axes.plot(layer["angle"], layer["equivariance_error"], color=color, marker="o",
                  markersize=3, linewidth=1, label=label)  # fmt: skip
    axes.set_title("Map of the rotated image against the rotated map, mean over images",
                   loc="left", fontsize=9)  # fmt: skip
    axes.set(xlabel="angle in degrees", ylabel="relative error",
             ylim=(0, _top(maps["equivariance_error"])))  # fmt: skip
    axes.set_xticks(range(0, 361, 45))
    axes.grid(axis="y", alpha=0.3)
    figure.legend(loc="outside right upper", fontsize=7)
    write_png(figure, path)


def by_layer(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row per layer: means over all non-zero shifts, and ``subsamples``."""
    moved = rows[(rows["dy"] != 0) | (rows["dx"] != 0)]
    moved = rows if moved.empty else moved
    keys = ["index", "layer", "kind", "stride"]
    errors = ["equivariance_error", "cosine_distance", "invariance_error"]
    layers = moved.groupby(keys, dropna=False, sort=False)[errors].mean().reset_index()
    return _each(layers)


def _each(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the first row of every layer, with ``subsamples``."""
    layers = rows.drop_duplicates("index").sort_values("index", ignore_index=True)
    stride = layers["stride"].astype("Float64").ffill().fillna(1).to_numpy(dtype=float)
    return layers.assign(subsamples=np.diff(stride, prepend=1.0) > 0)


def selected(layers: pd.DataFrame) -> list[int]:
    """Return the indices of the layers whose heat maps are drawn, in order."""
    at = np.flatnonzero(layers["subsamples"].to_numpy())
    last = len(layers) - 1
    # By priority, in case there are more than twelve.
    wanted = [last, 0, *at, *np.minimum(at + 1, last), *np.maximum(at - 1, 0)]
    positions = sorted(list(dict.fromkeys(map(int, wanted)))[:MOST_MAPS])
    return [int(index) for index in layers["index"].iloc[positions]]


def _mark_subsampling(axes: Axes, layers: pd.DataFrame) -> None:
    marked = layers.loc[layers["subsamples"], "index"]
    for index in marked:
        axes.axvline(index, color="0.5", linestyle="--", linewidth=1, zorder=0)
    if len(marked):
        axes.annotate("subsampling", (float(marked.iloc[0]), 1), xycoords=("data", "axes fraction"),
                      xytext=(3, -3), textcoords="offset points", va="top", fontsize=7,
                      color="0.3")  # fmt: skip


def _label_layers(axes: Axes, layers: pd.DataFrame) -> None:
    """Name every layer, or every k-th one if there are many."""
    step = -(-len(layers) // MOST_LABELS)
    shown = layers.iloc[::step]
    names = [f"{row.layer}  {row.kind}" for row in shown.itertuples()]
    axes.set_xticks(shown["index"].to_list(), names, rotation=90, fontsize=7)


def _top(errors: pd.Series[float]) -> float:
    largest = float(errors.max()) if errors.notna().any() else 0.0
    # A floor, so that an exact network is a line at 0 and rounding errors are not magnified.
    return max(1.15 * largest, 0.01)


def _plane(axes: Axes, rows: pd.DataFrame, top: float) -> AxesImage:
    first = rows.iloc[0]
    image = draw_plane(axes, rows, "equivariance_error", (0.0, top), colormap("cividis"))
    axes.set_title(f"{first['layer']} · stride {int(first['stride'])}\n{first['kind']}", fontsize=8)
    axes.tick_params(labelsize=7)
    return image
