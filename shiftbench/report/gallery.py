"""Every figure of a study: drawn, written to its folder, and made ready for a page."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pandas as pd

from shiftbench.report.attempts import attempt
from shiftbench.report.augmentation import augmentation_pictures
from shiftbench.report.distance import distance_pictures
from shiftbench.report.heatmaps import heatmap_pictures
from shiftbench.report.pareto import pareto_pictures
from shiftbench.report.records import DONE, Collection
from shiftbench.report.study import panels
from shiftbench.report.theme import DARK, LIGHT, Picture, png
from shiftbench.storage.atomic import atomic_file

MOST_PANELS = 6  # figures of one kind; beyond, a page gets slow to make and heavy to open


@dataclass(frozen=True)
class Shown:
    """A figure as a page shows it: both themes as text, and its size on the page in pixels."""

    title: str
    alt: str
    light: str
    dark: str
    width: int
    height: int
    wide: bool


@dataclass(frozen=True)
class Wall:
    """The figures of one kind.

    Attributes:
        title: What kind.
        how: How to read them.
        figures: In order.
        left_out: How many more there would be.
    """

    title: str
    how: str
    figures: list[Shown]
    left_out: int


def hang(collection: Collection, summary: pd.DataFrame, folder: Path) -> list[Wall]:
    """Draw what applies to a study, write it to ``folder`` and return it, kind by kind.

    Figures of an earlier study in the folder are removed; those for dark pages end in ``-dark``.
    """
    for kind in ("pareto", "augmentation", "distance", "heatmaps"):
        for old in folder.glob(f"{kind}-*.png"):  # only our own: it may be a run's folder as well
            old.unlink()
    walls = []
    for title, how, pictures in _kinds(collection, summary):
        with attempt(f"the figures of '{title}'"):
            shown = [frame(picture, folder) for picture in islice(pictures, MOST_PANELS)]
            if drawn := [one for one in shown if one is not None]:
                walls.append(Wall(title, how, drawn, sum(1 for _ in pictures)))
    return walls


def _kinds(
    collection: Collection, summary: pd.DataFrame
) -> Iterator[tuple[str, str, Iterator[Picture]]]:
    runs = single_runs(collection)
    yield (
        "Accuracy against consistency",
        "Dashed: the Pareto front, the configurations that none beats in both. Whiskers: 95 % "
        "interval over images; small dots: single seeds; both up to 60 configurations. The axes "
        "do not begin at 0.",
        pareto_pictures(summary, runs),
    )
    yield (
        "What augmentation adds",
        "Whiskers: 95 % interval over images. The axis does not begin at 0.",
        augmentation_pictures(summary),
    )
    if not any(True for _ in panels(summary)):
        return
    shifts = collection.shifts()
    shifts = shifts.assign(config_id=shifts["run_id"].map(_config_of(collection)))
    settings = {run.config_id: run.settings for run in collection.runs if run.state == DONE}
    yield (
        "Agreement over distance",
        "Share of images that keep the answer to the unshifted image, averaged over the shifts of "
        "that length; circular shifts count the shorter way round. Bands: from the lowest to the "
        "highest seed.",
        distance_pictures(summary, shifts, settings),
    )
    yield (
        "Where answers hold",
        "Share of images that keep the answer to the unshifted image (+), mean over seeds; the "
        "number is the mean over all other shifts.",
        heatmap_pictures(summary, shifts),
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


def frame(picture: Picture, folder: Path) -> Shown | None:
    """Write both drawings and return them as a page needs them, None where they cannot be made."""
    shown = None
    with attempt(str(folder / f"{picture.name}.png")):
        shown = _drawn(picture, folder)
    return shown


def _drawn(picture: Picture, folder: Path) -> Shown:
    texts: list[str] = []
    figure = picture.draw(LIGHT)
    width, height = (round(96 * float(inches)) for inches in figure.get_size_inches())
    for drawn, ending in ((figure, ""), (picture.draw(DARK), "-dark")):
        content = png(drawn)
        with atomic_file(folder / f"{picture.name}{ending}.png", "wb") as file:
            file.write(content)
        texts.append(f"data:image/png;base64,{base64.b64encode(content).decode()}")
    light, dark = texts
    return Shown(picture.title, picture.alt, light, dark, width, height, picture.wide)
