"""The style of a study's figures: one colour per pool, a light and a dark theme."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont
from matplotlib.ft2font import FT2Font
from numpy.typing import ArrayLike, NDArray

from shiftbench.report.figures.drawing import own_settings

DPI, COLORS = 150, 256  # resolution and palette size of a figure on a page
LONGEST = 34  # characters of a label in a figure


@dataclass(frozen=True)
class Theme:
    """The colours of light or of dark pages; ``paper`` equals the background in ``page.css``.

    ``states`` are the colours of intervals above, covering or below a threshold, as for the
    verdicts in ``page.css``.
    """

    name: str
    paper: str
    ink: str
    muted: str
    grid: str
    pools: Mapping[str, str]
    spare: tuple[str, ...]
    states: Mapping[str, str]


# Okabe & Ito's colours, distinguishable with any colour vision; on dark paper lighter ones of the
# same hues. A pool has the same colour and marker in every figure.
LIGHT = Theme(
    name="light", paper="#ffffff", ink="#1c2128", muted="#57606a", grid="#e3e7ec",
    pools={"max": "#c44e00", "stride": "#b07a00", "avg": "#b3497f", "blur": "#0069ad",
           "aps": "#00805c", "global": "#3a3f47"},
    spare=("#2f8fd0", "#6d4fc2", "#8a6d3b", "#c0262d"),
    states={"above": "#00704f", "covers": "#b07a00", "not above": "#b3261e",
            "no interval": "#57606a"},
)  # fmt: skip
DARK = Theme(
    name="dark", paper="#161b22", ink="#e6edf3", muted="#9aa5b1", grid="#2b323b",
    pools={"max": "#ff8a4c", "stride": "#f0c04a", "avg": "#f08fc0", "blur": "#5cb8f5",
           "aps": "#3ecf9c", "global": "#d5dbe2"},
    spare=("#9fd3ff", "#b8a1f5", "#d3b787", "#ff7b80"),
    states={"above": "#56d39b", "covers": "#f0c04a", "not above": "#ff9189",
            "no interval": "#9aa5b1"},
)  # fmt: skip
THEMES = (LIGHT, DARK)
MARKERS = {"max": "o", "stride": "v", "avg": "P", "blur": "s", "aps": "D", "global": "^"}
SPARE_MARKERS = ("X", "*", "<", ">")


@dataclass(frozen=True)
class FigureSpec:
    """A figure of a study, drawn on demand.

    Attributes:
        name: File name without extension.
        title: One line on what the figure shows.
        alt: Alternative text with the figure's numbers, for screen readers.
        draw: Function from a theme to the figure.
        wide: Whether it takes the whole width of a page.
    """

    name: str
    title: str
    alt: str
    draw: Callable[[Theme], Figure]
    wide: bool = False


def new_figure(theme: Theme, width: float, height: float) -> Figure:
    """Return an empty figure with the theme's background, sizes in inches."""
    return Figure(figsize=(width, height), facecolor=theme.paper)


def write_title(figure: Figure, theme: Theme, title: str) -> None:
    """Write a title in the upper left corner of a figure."""
    figure.text(0.02, 0.975, plain(title), color=theme.ink, fontsize=11, fontweight="bold",
                va="top", parse_math=False)  # fmt: skip


def whiskers(values: ArrayLike, low: ArrayLike, high: ArrayLike) -> NDArray[np.float64]:
    """Return the extents of intervals below and above their values, ``(2, N)``; 0 without one.

    >>> whiskers([0.5, 0.5], [0.25, np.nan], [1.0, np.nan])
    array([[0.25, 0.  ],
           [0.5 , 0.  ]])
    """
    middle, below, above = (np.asarray(one, dtype=np.float64) for one in (values, low, high))
    return np.nan_to_num(np.clip(np.stack([middle - below, above - middle]), 0, None))


def span_of(parts: Iterable[pd.Series[Any]]) -> tuple[float, float]:
    """Return the centre and the range of all values; a floor keeps noise from being magnified."""
    values = pd.concat([part.astype(float) for part in parts if len(part)]).dropna()
    low, high = float(values.min()), float(values.max())
    return (low + high) / 2, max(high - low, 0.04)


def style_axes(axes: Axes, theme: Theme) -> None:
    """Style axes with the theme's colours: no frame, a faint grid behind the data."""
    axes.set_facecolor(theme.paper)
    axes.set_axisbelow(True)
    axes.grid(color=theme.grid, linewidth=0.8)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(theme.muted)
    axes.tick_params(colors=theme.muted, labelcolor=theme.ink, labelsize=9, length=3)
    for axis in (axes.xaxis, axes.yaxis):
        axis.label.set(color=theme.ink, fontsize=10)


def pool_styles(pools: Iterable[str], theme: Theme) -> dict[str, dict[str, Any]]:
    """Return colour and marker of every pool; user-defined pools get spare ones, by name."""
    unknown = sorted({str(pool) for pool in pools} - set(theme.pools))
    styles = {pool: {"color": theme.pools[pool], "marker": MARKERS[pool]} for pool in theme.pools}
    for number, pool in enumerate(unknown):
        spare = number % len(theme.spare)
        styles[pool] = {"color": theme.spare[spare], "marker": SPARE_MARKERS[spare]}
    return styles


def plain(text: object, longest: int = LONGEST) -> str:
    """Return ``text`` as one line, restricted to characters that the font has.

    >>> plain("a pool  of  mine", longest=9)
    'a pool o…'
    """
    known = _characters()
    line = " ".join(str(text).split())
    shown = "".join(letter if ord(letter) in known else "□" for letter in line)
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


@cache
@own_settings()
def _characters() -> frozenset[int]:
    return frozenset(FT2Font(findfont(FontProperties())).get_charmap())
