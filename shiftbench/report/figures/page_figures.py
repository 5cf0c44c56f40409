"""All figures of a study: drawing, writing to its folder, embedding in a page."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import pandas as pd

from shiftbench.report.attempts import attempt
from shiftbench.report.figures.agreement_maps import heatmap_figure
from shiftbench.report.figures.augmentation import augmentation_figure
from shiftbench.report.figures.distance import axis_agreement, distance_figure
from shiftbench.report.figures.drawing import png, write_png
from shiftbench.report.figures.pareto import pareto_figure
from shiftbench.report.figures.theme import COLORS, DARK, DPI, LIGHT, FigureSpec
from shiftbench.report.load.records import DONE, Collection
from shiftbench.report.tables.panels import Panel

MOST_PANELS = 6  # of figures of one kind; more make the page slow to build and to open


@dataclass(frozen=True)
class WrittenFigure:
    """A figure as a page shows it: both themes as text, and its size in pixels."""

    title: str
    alt: str
    light: str
    dark: str
    width: int
    height: int
    wide: bool


@dataclass(frozen=True)
class FigureGroup:
    """The figures of one kind.

    Attributes:
        title: Name of the kind.
        how: How to read the figures.
        figures: The figures, in order.
        left_out: Number of figures beyond :data:`MOST_PANELS`, which are not drawn.
    """

    title: str
    how: str
    figures: list[WrittenFigure]
    left_out: int


def figure_groups(
    collection: Collection, panels: Sequence[Panel], folder: Path
) -> list[FigureGroup]:
    """Draw all applicable figures of a study, write them to ``folder`` and return them by kind.

    Figures of an earlier study in the folder are removed.
    """
    for kind in ("pareto", "augmentation", "distance", "axis", "heatmaps"):
        for old in folder.glob(f"{kind}-*.png"):  # no other files: it may be a run's folder
            old.unlink()
    groups = []
    for title, how, make in _kinds(collection) if panels else ():
        with attempt(f"the figures of '{title}'"):
            specs = filter(None, map(make, panels))
            shown = [write_figure(spec, folder) for spec in islice(specs, MOST_PANELS)]
            if drawn := [one for one in shown if one is not None]:
                groups.append(FigureGroup(title, how, drawn, sum(1 for _ in specs)))
    return groups


def _kinds(
    collection: Collection,
) -> Iterator[tuple[str, str, Callable[[Panel], FigureSpec | None]]]:
    """Yield title, reading instructions and drawing function of each kind of figure."""
    runs = single_runs(collection)
    yield (
        "Accuracy against consistency",
        "Dashed: the Pareto front, the configurations that none beats in both. Whiskers: 95 % "
        "interval over images; small dots: single seeds; both up to 60 configurations. The axes "
        "do not begin at 0.",
        partial(pareto_figure, runs=runs),
    )
    yield (
        "What augmentation adds",
        "Whiskers: 95 % interval over images. The axis does not begin at 0.",
        augmentation_figure,
    )
    shifts = collection.shifts()
    shifts = shifts.assign(config_id=shifts["run_id"].map(_config_of(collection)))
    settings = {run.config_id: run.settings for run in collection.runs if run.state == DONE}
    yield (
        "Agreement over distance",
        "Share of images that keep the answer to the unshifted image, averaged over the shifts of "
        "that length; circular shifts count the shorter way round. Bands: from the lowest to the "
        "highest seed.",
        partial(distance_figure, shifts=shifts, settings=settings),
    )
    yield (
        "Agreement over other axes",
        "Share of images that keep the answer to the base view, over the angle, the factor or the "
        "size of a view. Bands: from the lowest to the highest seed.",
        partial(axis_agreement, shifts=shifts),
    )
    yield (
        "Where answers hold",
        "Share of images that keep the answer to the unshifted image (+), mean over seeds; the "
        "number is the mean over all other shifts.",
        partial(heatmap_figure, shifts=shifts),
    )


def single_runs(collection: Collection) -> pd.DataFrame:
    """Return run_id, protocol, config_id, accuracy and consistency, a row per run and protocol."""
    metrics = collection.metrics
    wanted = metrics[metrics["metric"].isin(["accuracy", "consistency"])]
    table = wanted.pivot_table(index=["run_id", "protocol"], columns="metric", values="value")
    table = table.reindex(columns=["accuracy", "consistency"]).reset_index()
    return table.assign(config_id=table["run_id"].map(_config_of(collection)))


def _config_of(collection: Collection) -> dict[str, str]:
    return {run.run_id: run.config_id for run in collection.runs}


def write_figure(spec: FigureSpec, folder: Path) -> WrittenFigure | None:
    """Write a figure and return both themes for a page, None if they cannot be drawn."""
    shown = None
    with attempt(str(folder / f"{spec.name}.png")):
        shown = _drawn(spec, folder)
    return shown


def _drawn(spec: FigureSpec, folder: Path) -> WrittenFigure:
    figure = spec.draw(LIGHT)
    width, height = (round(96 * float(inches)) for inches in figure.get_size_inches())
    dark = png(spec.draw(DARK), DPI, COLORS)  # used by the page only; files have the light theme
    light = write_png(figure, folder / f"{spec.name}.png", DPI, COLORS)
    return WrittenFigure(spec.title, spec.alt, _embedded(light), _embedded(dark), width, height,
                 spec.wide)  # fmt: skip


def _embedded(content: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"
