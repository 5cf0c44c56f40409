"""Curves of accuracy and consistency over the radius of the shifts, with their intervals."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from shiftbench.report.figures.drawing import own_settings, write_png
from shiftbench.report.figures.jagged_curve import COLORS

# Curves of each panel: what is drawn of them, and its name.
PANELS = (
    ("every shift up to the radius", "up_to",
     {"shift_accuracy": "accuracy", "worst_accuracy": "worst case", "consistency": "consistency"}),
    ("shifts at the radius", "at",
     {"shift_accuracy": "accuracy", "base_consistency": "keeps its answer"}),
)  # fmt: skip


@own_settings()
def radius_figure(rows: pd.DataFrame, title: str, path: Path) -> None:
    """Draw the curves of one protocol and write a PNG.

    Args:
        rows: What :func:`~shiftbench.metric.radius.per_radius` returns.
        title: Title of the figure.
        path: Path of the PNG.
    """
    figure = Figure(figsize=(8.6, 3.8), layout="constrained")
    panels = figure.subplots(1, len(PANELS), sharey=True)
    for axes, (name, shifts, curves) in zip(panels, PANELS, strict=True):
        own = rows[rows["shifts"] == shifts]
        for color, (metric, label) in zip(COLORS, curves.items(), strict=False):
            _draw_curve(axes, own[own["metric"] == metric], color, label)
        axes.set(title=name, xlabel="radius max(|dy|, |dx|) in px", ylim=(0, 1.02))
        axes.xaxis.set_major_locator(MaxNLocator(7, integer=True))
        axes.grid(color="0.9")
        axes.legend(loc="best", fontsize=8)
    panels[0].set_ylabel("share")
    figure.suptitle(title, fontsize=11)
    write_png(figure, path)


def _draw_curve(axes: Axes, rows: pd.DataFrame, color: str, label: str) -> None:
    radius, low, high = (rows[name].to_numpy(float) for name in ("radius", "ci_low", "ci_high"))
    axes.plot(radius, rows["value"], color=color, marker="o", markersize=3, label=label)
    axes.fill_between(radius, low, high, color=color, alpha=0.18, linewidth=0)
