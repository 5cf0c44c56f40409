"""Example views of a protocol: base view, shifted view and their difference."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from shiftbench.report.figures.drawing import colormap, own_settings, write_png

_HEADINGS = ("base", "moved", "difference")


@own_settings()
def protocol_figure(
    base: NDArray[Any],
    moved: NDArray[Any],
    path: Path,
    *,
    title: str = "",
    captions: Sequence[str] = (),
) -> None:
    """Draw a row for each image (base view, shifted view, difference) and write a PNG.

    The difference is grey where nothing changes, red where the shifted view is brighter, blue where
    it is darker, on one scale for all rows.

    Args:
        base: ``(N, H, W, C)`` float in 0..1 or uint8, with C = 1 or 3.
        moved: The shifted views, of the same shape and type.
        path: Path of the PNG.
        title: Title of the figure.
        captions: A line for each row, e.g. ``dy = 1, dx = 1``.
    """
    base, moved = _unit(base), _unit(moved)
    rows = len(base)
    figure = Figure(figsize=(5.6, 1.5 * rows + 0.5), layout="constrained")
    grid = figure.subplots(rows, 3, squeeze=False)
    largest = max(float(np.abs((moved - base).mean(axis=-1)).max()), 1 / 255)
    for row, axes in enumerate(grid):
        drawn = _draw_row(axes, base[row], moved[row], largest)
        if row < len(captions):
            axes[0].set_ylabel(captions[row], fontsize=9)
    for panel, heading in zip(grid[0], _HEADINGS, strict=True):
        panel.set_title(heading, fontsize=10)
    figure.colorbar(drawn, ax=grid[:, 2].tolist(), aspect=12 * rows)
    figure.suptitle(title, fontsize=11)
    write_png(figure, path)


def caption(shift: Sequence[float], axes: Sequence[str]) -> str:
    """Return a shift as text.

    >>> caption((1.0, -0.5), ("dy", "dx"))
    'dy = 1, dx = −0.5'
    """
    parts = (f"{name} = {value:g}" for name, value in zip(axes, shift, strict=True))
    return ", ".join(parts).replace("-", "−")


def _draw_row(
    axes: Sequence[Axes], base: NDArray[np.float32], moved: NDArray[np.float32], largest: float
) -> AxesImage:
    """Draw both views and their difference on a scale of ±``largest``; return the difference."""
    for panel, image in zip(axes, (base, moved), strict=False):
        _show(panel, image)
    for panel in axes:
        panel.set(xticks=[], yticks=[])
    difference = (moved - base).mean(axis=-1)
    return axes[2].imshow(difference, cmap=colormap("coolwarm"), vmin=-largest, vmax=largest)


def _show(panel: Axes, image: NDArray[np.float32]) -> None:
    if image.shape[-1] == 1:
        panel.imshow(image[..., 0], cmap=colormap("gray"), vmin=0, vmax=1, interpolation="nearest")
    else:
        panel.imshow(image.clip(0, 1), interpolation="nearest")


def _unit(views: NDArray[Any]) -> NDArray[np.float32]:
    scale = 255 if views.dtype == np.uint8 else 1
    return views.astype(np.float32) / np.float32(scale)
