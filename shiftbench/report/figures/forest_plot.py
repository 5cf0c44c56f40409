"""Forest plot of a claim on every network: each network, the mean over them, the threshold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.textpath import TextToPath
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, ScalarFormatter

from shiftbench.claims import Finding, Judged, Network
from shiftbench.report.figures.drawing import own_settings
from shiftbench.report.figures.theme import FigureSpec, Theme, new_figure, plain, style_axes
from shiftbench.report.tables.panels import listed

ABOVE, COVERS, NOT_ABOVE, UNKNOWN = "above", "covers", "not above", "no interval"
MARKERS = {ABOVE: "o", COVERS: "D", NOT_ABOVE: "v", UNKNOWN: "o"}
WIDTH = 5.6
ROW, CLOSE_ROW, MANY = 0.25, 0.2, 20  # inches per network; smaller if there are more than MANY
LEGEND_ROW, AXIS, TOP = 0.2, 0.62, 0.12  # inches
LONGEST_NAME, LONGEST_LABEL = 90, 90
WIDEST, MARGIN, NAME_SIZE = 2.6, 0.15, 8.0  # inches; NAME_SIZE in points
RIGHT = 0.97


def network_figure(one: Judged) -> FigureSpec | None:
    """Return the forest plot of a claim on every network, None for fewer than two networks."""
    found = one.finding
    if found is None or len(found.networks) < 2:
        return None
    return FigureSpec(
        name=f"claim-{one.claim.key}-networks",
        title=f"{one.claim.key}: {found.measured_of.removeprefix('mean over ')}, 95 % intervals "
        "that hold for all at once",
        alt=_alt(found),
        draw=partial(_draw, found, one.claim.measured),
    )


def state_of(network: Network, threshold: float) -> str:
    """Return the position of a network's simultaneous interval relative to the threshold.

    >>> state_of(Network("a", 0.2, 0.1, 0.3), 0.0), state_of(Network("a", 0.2, -0.1, 0.5), 0.0)
    ('above', 'covers')
    >>> state_of(Network("a", -0.2, -0.4, 0.0), 0.0)
    'not above'
    """
    if math.isnan(network.low) or math.isnan(network.high):
        return UNKNOWN
    if network.low > threshold:
        return ABOVE
    return NOT_ABOVE if network.high <= threshold else COVERS


def in_order(found: Finding) -> list[Network]:
    """Return the networks in decreasing order of their values."""
    return sorted(found.networks, key=lambda network: -network.value)


def _alt(found: Finding) -> str:
    rows = [f"{network.name or 'a network'} {_ends(network)}, {state_of(network, found.threshold)}"
            for network in in_order(found)]  # fmt: skip
    mean = _ends(_mean(found))
    return f"Forest plot, threshold {found.threshold:g}. {found.measured_of}: {mean}. " \
           f"{listed(rows)}."  # fmt: skip


def _ends(network: Network) -> str:
    ends = "" if math.isnan(network.low) else f" [{network.low:.3g}, {network.high:.3g}]"
    return f"{network.value:.3g}{ends}"


def _mean(found: Finding) -> Network:
    return Network(found.measured_of, found.measured, found.low, found.high)


@own_settings()
def _draw(found: Finding, measured: str, theme: Theme) -> Figure:
    networks = in_order(found)
    states = [state_of(network, found.threshold) for network in networks]
    row = CLOSE_ROW if len(networks) > MANY else ROW
    kinds = [kind for kind in MARKERS if kind in states]
    bottom = AXIS + LEGEND_ROW * math.ceil(len(kinds) / 2)
    height = bottom + row * (len(networks) + 2) + TOP
    figure = new_figure(theme, WIDTH, height)
    names = [_mean(found).name, *(_fitted(network.name or "a network") for network in networks)]
    widest = max(_inches(names[0], "bold"), *map(_inches, names[1:]))
    left = (MARGIN + widest) / WIDTH
    axes = figure.add_axes(
        (left, bottom / height, RIGHT - left, row * (len(networks) + 2) / height)
    )
    style_axes(axes, theme)
    _rows(axes, found, networks, states, theme)
    _names(axes, names)
    _scale(axes, found)
    figure.text(RIGHT, (bottom - 0.42) / height, plain(measured, LONGEST_LABEL), ha="right",
                fontsize=8, color=theme.ink, parse_math=False)  # fmt: skip
    _legend(figure, kinds, found.threshold, theme)
    return figure


def _fitted(name: str) -> str:
    """Return the name, truncated to the width ``WIDEST``."""
    shown = plain(name, LONGEST_NAME)
    while _inches(shown) > WIDEST:
        shown = plain(name, len(shown) - 1)
    return shown


def _inches(text: str, weight: str = "normal") -> float:
    font = FontProperties(size=NAME_SIZE, weight=weight)
    points, _, _ = TextToPath().get_text_width_height_descent(text, font, ismath=False)
    return float(points) / 72


def _rows(
    axes: Axes, found: Finding, networks: Sequence[Network], states: Sequence[str], theme: Theme
) -> None:
    axes.axvline(found.threshold, color=theme.ink, linewidth=1.1, linestyle=(0, (4, 2)), zorder=2)
    axes.axhline(0.75, color=theme.grid, linewidth=0.8, zorder=1)
    _row(axes, 0.0, _mean(found), theme.ink, "s", wide=True)
    for index, (network, state) in enumerate(zip(networks, states, strict=True)):
        _row(axes, index + 1.5, network, theme.states[state], MARKERS[state],
             face=theme.paper if state == UNKNOWN else None)  # fmt: skip


def _row(
    axes: Axes,
    y: float,
    network: Network,
    color: str,
    marker: str,
    *,
    face: str | None = None,
    wide: bool = False,
) -> None:
    """Draw a value and its interval, if it has one."""
    axes.plot([network.low, network.high], [y, y], color=color, zorder=3,
              linewidth=2.4 if wide else 1.5, solid_capstyle="butt")  # fmt: skip
    axes.plot([network.value], [y], color=color, marker=marker, markersize=6.5 if wide else 5,
              linestyle="none", markerfacecolor=face or color, zorder=4)  # fmt: skip


def _names(axes: Axes, names: Sequence[str]) -> None:
    heights = [0.0, *(index + 1.5 for index in range(len(names) - 1))]
    axes.set_yticks(heights, names, parse_math=False, fontsize=NAME_SIZE)
    axes.get_yticklabels()[0].set_fontweight("bold")
    axes.set_ylim(len(names) + 0.1, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)


def _scale(axes: Axes, found: Finding) -> None:
    if not found.ratio:
        axes.xaxis.set_major_locator(MaxNLocator(5))
        return
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 300 * low else (1,)))
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())


def _legend(figure: Figure, kinds: Sequence[str], threshold: float, theme: Theme) -> None:
    handles = [
        Line2D([], [], color=theme.states[kind], marker=MARKERS[kind], markersize=5, linewidth=1.5,
               markerfacecolor=theme.paper if kind == UNKNOWN else theme.states[kind],
               linestyle="none" if kind == UNKNOWN else "-")
        for kind in kinds
    ]  # fmt: skip
    names = [kind if kind == UNKNOWN else f"{kind} {threshold:g}" for kind in kinds]
    figure.legend(
        handles, names, loc="lower right", bbox_to_anchor=(RIGHT, 0.0), frameon=False, ncol=2,
        fontsize=8.5, labelcolor=theme.ink, labelspacing=0.35, borderaxespad=0.3,
    )  # fmt: skip
