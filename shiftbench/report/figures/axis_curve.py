"""Curves of accuracy and agreement over one axis of the shifts, e.g. the angle."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from shiftbench.report.figures.axis_label import axis_label
from shiftbench.report.figures.drawing import own_settings, write_png
from shiftbench.report.figures.jagged_curve import COLORS

CURVES = {"accuracy": "accuracy", "agreement": "keeps the base view's answer"}
DEGREES = (1, 1.5, 3, 4.5, 9, 10)  # ticks of angles: 15, 30, 45 or 90 degrees apart


def curves(shifts: pd.DataFrame, axis: str) -> pd.DataFrame:
    """Return the means over every value of one axis, weighted by images, in increasing order.

    Args:
        shifts: Rows of ``shifts.csv`` of one protocol.
        axis: A column of shifts.

    Returns:
        The columns ``axis``, accuracy, agreement.
    """
    names = list(CURVES)
    weighted = shifts[names].mul(shifts["n_images"], axis=0).assign(
        **{axis: shifts[axis].astype(float), "weight": shifts["n_images"]}
    )  # fmt: skip
    sums = weighted.groupby(axis, as_index=False).sum()
    return sums[[axis]].join(sums[names].div(sums["weight"], axis=0))


@own_settings()
def axis_figure(shifts: pd.DataFrame, axis: str, title: str, path: Path) -> None:
    """Draw accuracy and agreement over one axis and write a PNG.

    Args:
        shifts: Rows of ``shifts.csv`` of one protocol.
        axis: The axis, e.g. ``angle``.
        title: Title of the figure.
        path: Path of the PNG.
    """
    rows = curves(shifts, axis)
    figure = Figure(figsize=(5.6, 3.8), layout="constrained")
    axes = figure.add_subplot()
    for color, (name, label) in zip(COLORS, CURVES.items(), strict=False):
        axes.plot(rows[axis], rows[name], color=color, marker="o", markersize=3, label=label)
    axes.set(xlabel=axis_label(axis), ylabel="share of images", ylim=(0, 1.02))
    whole = bool((rows[axis] == rows[axis].round()).all())
    steps = {"steps": DEGREES} if axis == "angle" else {}
    axes.xaxis.set_major_locator(MaxNLocator(9, integer=whole and not steps, **steps))
    axes.grid(color="0.9")
    axes.legend(loc="best", fontsize=8)
    figure.suptitle(title, fontsize=11)
    write_png(figure, path)
