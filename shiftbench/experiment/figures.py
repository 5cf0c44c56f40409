"""Every figure of a run, made from its tables and its test images; each may fail by itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd

from shiftbench.data.images import Dataset
from shiftbench.predict.example_views import example_views
from shiftbench.predict.protocol import ShiftProtocol
from shiftbench.predict.strips import strips
from shiftbench.prediction_table import PredictionTable
from shiftbench.report.attempts import attempt
from shiftbench.report.heatmap import heatmap
from shiftbench.report.jagged import jagged, path_of, typical_images, views_of
from shiftbench.report.layers import depth_figure, maps_figure
from shiftbench.report.views import caption, protocol_pictures


def draw_protocols(
    folder: Path,
    label: str,
    data: Dataset,
    protocols: Mapping[str, ShiftProtocol],
    tables: Mapping[str, PredictionTable],
    shifts: Mapping[str, pd.DataFrame],
) -> None:
    """Draw for every protocol what the network saw, where it held, and how jagged it was.

    Args:
        folder: Where the pictures go, as ``views_<protocol>.png``, ``<protocol>.png``,
            ``jagged_<protocol>.png``.
        label: What the network is called in legends.
        data: The images that were shown.
        protocols: By name.
        tables: The answers, by the same names.
        shifts: What :func:`~shiftbench.metric.per_shift` made of them.
    """
    for name, table in tables.items():
        with _figure(folder / f"views_{name}.png") as path:
            _draw_views(path, name, data, protocols[name])
        if {"dy", "dx"} <= set(table.axes):
            with _figure(folder / f"{name}.png") as path:
                title = f"{name}: share of images that keep their answer"
                heatmap(shifts[name], title, "agreement", path)
        with _figure(folder / f"jagged_{name}.png") as path:
            _draw_jagged(path, label, data, protocols[name], table)


def draw_layers(folder: Path, rows: pd.DataFrame) -> None:
    """Draw the layer probe's rows as ``layers.png`` and ``layer_maps.png``."""
    with _figure(folder / "layers.png") as path:
        depth_figure(rows, path)
    with _figure(folder / "layer_maps.png") as path:
        maps_figure(rows, path)


@contextmanager
def _figure(path: Path) -> Iterator[Path]:
    """Give the path of a figure that may fail; what an earlier run left there goes first."""
    with attempt(str(path)):
        path.unlink(missing_ok=True)
        yield path


def _draw_views(path: Path, name: str, data: Dataset, protocol: ShiftProtocol) -> None:
    shown = example_views(data.test, protocol, data.mean)
    captions = [caption(shift, protocol.axes) for shift in np.atleast_2d(shown["shifts"])]
    protocol_pictures(shown["base"], shown["moved"], path, title=name, captions=captions)


def _draw_jagged(
    path: Path, label: str, data: Dataset, protocol: ShiftProtocol, table: PredictionTable
) -> None:
    """Draw the probability of the true class while a few test images move along the path."""
    steps = path_of(table)
    if steps is None:
        return
    shown = table.shifts[steps.columns[views_of(steps)]]
    pictures = strips(data.test, protocol, typical_images([table]), shown, data.mean)
    jagged({label: table}, pictures, path)
