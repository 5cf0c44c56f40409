"""The figures of a run, drawn from its tables and test images; each may fail independently."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd

from shiftbench.data.images import Dataset
from shiftbench.data.shown import ShownSplit
from shiftbench.predict.example_views import example_views
from shiftbench.predict.strips import strips
from shiftbench.prediction_table import PredictionTable
from shiftbench.report.attempts import attempt
from shiftbench.report.figures.axis_curve import axis_figure
from shiftbench.report.figures.example_views import caption, protocol_figure
from shiftbench.report.figures.jagged_curve import jagged, path_of, typical_images, views_of
from shiftbench.report.figures.layers import depth_figure, maps_figure, rotations_figure
from shiftbench.report.figures.radius import radius_figure
from shiftbench.report.figures.shift_plane import heatmap
from shiftbench.shift.base import ShiftProtocol


def draw_protocols(
    folder: Path,
    label: str,
    data: Dataset,
    protocols: Mapping[str, ShiftProtocol],
    tables: Mapping[str, PredictionTable],
    shifts: Mapping[str, pd.DataFrame],
) -> None:
    """Draw for every protocol example views, the metrics per shift and the jagged curve.

    Args:
        folder: Folder of the figures ``views_<protocol>.png``, ``<protocol>.png`` (a heat map over
            (dy, dx), or curves over another axis; ``<protocol>_<axis>.png`` if there are both) and
            ``jagged_<protocol>.png``.
        label: The network's name in legends.
        data: The data set with the test images.
        protocols: Protocols by name.
        tables: Prediction tables by the same names.
        shifts: Their reductions by :func:`~shiftbench.metric.per_shift`.
    """
    for name, table in tables.items():
        with _figure(folder / f"views_{name}.png") as path:
            _draw_views(path, name, data, protocols[name])
        _draw_shifts(folder, name, table.axes, shifts[name])
        with _figure(folder / f"jagged_{name}.png") as path:
            _draw_jagged(path, label, data, protocols[name], table)


def draw_curves(folder: Path, radius: pd.DataFrame, phase: pd.DataFrame) -> None:
    """Draw ``radius_<protocol>.png`` and ``phase_<protocol>.png``.

    Args:
        folder: Folder of the figures.
        radius: Rows of ``radius.csv``.
        phase: Rows of ``phase.csv``.
    """
    for name, rows in radius.groupby("protocol", sort=False):
        with _figure(folder / f"radius_{name}.png") as path:
            radius_figure(rows, f"{name}: accuracy and consistency over the radius", path)
    for name, rows in phase.groupby("protocol", sort=False):
        with _figure(folder / f"phase_{name}.png") as path:
            title = f"{name}: share that keeps its answer, by phase"
            heatmap(rows, title, "agreement", path)


def draw_layers(folder: Path, rows: pd.DataFrame) -> None:
    """Draw the layer probe's rows as ``layers.png`` and ``layer_maps.png``."""
    with _figure(folder / "layers.png") as path:
        depth_figure(rows, path)
    with _figure(folder / "layer_maps.png") as path:
        maps_figure(rows, path)


def draw_rotations(folder: Path, rows: pd.DataFrame) -> None:
    """Draw the rotation probe's rows as ``layer_rotations.png``."""
    with _figure(folder / "layer_rotations.png") as path:
        rotations_figure(rows, path)


@contextmanager
def _figure(path: Path) -> Iterator[Path]:
    """Yield the path of a figure that may fail; an earlier file of that name is removed first."""
    with attempt(str(path)):
        path.unlink(missing_ok=True)
        yield path


def _draw_shifts(folder: Path, name: str, axes: Sequence[str], shifts: pd.DataFrame) -> None:
    """Draw the agreement over (dy, dx) as a heat map, and over every other axis as a curve."""
    title = f"{name}: share of images that keep their answer"
    others = [axis for axis in axes if axis not in ("dy", "dx")]
    if {"dy", "dx"} <= set(axes):
        over = f"\nmean over the {' and the '.join(others)}" if others else ""
        with _figure(folder / f"{name}.png") as path:
            heatmap(shifts, title + over, "agreement", path)
    for axis in others:
        single = len(axes) == 1
        with _figure(folder / (f"{name}.png" if single else f"{name}_{axis}.png")) as path:
            over = "" if single else ", mean over the other axes"
            axis_figure(shifts, axis, f"{name}{over}", path)


def _draw_views(path: Path, name: str, data: Dataset, protocol: ShiftProtocol) -> None:
    shown = example_views(ShownSplit.of_test(data), protocol)
    captions = [caption(shift, protocol.axes) for shift in np.atleast_2d(shown["shifts"])]
    protocol_figure(shown["base"], shown["moved"], path, title=name, captions=captions)


def _draw_jagged(
    path: Path, label: str, data: Dataset, protocol: ShiftProtocol, table: PredictionTable
) -> None:
    """Draw the probability of the true class of a few test images along the path of shifts."""
    steps = path_of(table)
    if steps is None:
        return
    shown = table.shifts[steps.columns[views_of(steps)]]
    views = strips(ShownSplit.of_test(data), protocol, typical_images([table]), shown)
    jagged({label: table}, views, path)
