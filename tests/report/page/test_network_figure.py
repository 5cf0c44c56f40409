"""The forest plot of a claim on every network: positions and colours of the intervals."""

import math
from itertools import pairwise

import pytest
from matplotlib.colors import same_color

from shiftbench.claims import Claim, Finding, Judged, Network
from shiftbench.report.figures.drawing import png
from shiftbench.report.figures.forest_plot import network_figure, state_of
from shiftbench.report.figures.theme import DARK, LIGHT, THEMES

NETWORKS = (
    Network("covers", 0.4, 0.1, 0.7), Network("above", 0.8, 0.6, 0.9),
    Network("below", 0.1, 0.0, 0.2), Network("bare", 0.3, math.nan, math.nan),
)  # fmt: skip


def judged(networks=NETWORKS, threshold=0.25, ratio=False, low=0.3):
    claim = Claim("S3", "slug", "source", "statement", "published", "measured, above 0.25", (),
                  lambda evidence: None)  # fmt: skip
    found = Finding("not reproduced", 0.5, low, 0.7, "because", ("run",), None,
                    f"mean over {len(networks)} networks", tuple(networks), "reproduced",
                    threshold, networks[-1] if networks else None, ratio)  # fmt: skip
    return Judged(claim, found)


def drawn(one, theme=LIGHT):
    """Return the axes and {name: (ends of the interval, number, colour)}."""
    figure = network_figure(one).draw(theme)
    figure.canvas.draw()
    [axes] = figure.axes
    names = {round(text.get_position()[1], 3): text.get_text() for text in axes.get_yticklabels()}
    lines = [line for line in axes.lines if line.get_linestyle() not in ("--",)]
    rows = {}
    for line in lines:
        y = float(line.get_ydata()[0])
        if y in names:
            rows.setdefault(names[y], []).append(line)
    return axes, {
        name: ([float(x) for x in ends.get_xdata()], float(point.get_xdata()[0]), point.get_color())
        for name, (ends, point) in rows.items()
    }


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
def test_each_network_has_its_interval_and_the_colour_of_where_it_is(theme):
    _, rows = drawn(judged(), theme)
    assert list(rows) == ["mean over 4 networks", "above", "covers", "bare", "below"]
    assert rows["above"][:2] == ([0.6, 0.9], 0.8)
    assert rows["below"][:2] == ([0.0, 0.2], 0.1)
    assert rows["mean over 4 networks"][:2] == ([0.3, 0.7], 0.5)
    states = {"above": "above", "covers": "covers", "below": "not above", "bare": "no interval"}
    for name, state in states.items():
        assert same_color(rows[name][2], theme.states[state]), name
    assert len({theme.states[state] for state in states.values()}) == 4


def test_the_threshold_is_a_line_and_the_legend_names_what_is_there():
    axes, _ = drawn(judged(NETWORKS[:2]))
    dashed = [line for line in axes.lines if set(line.get_xdata()) == {0.25}]
    assert len(dashed) == 1
    legend = [text.get_text() for text in axes.figure.legends[0].get_texts()]
    assert legend == ["above 0.25", "covers 0.25"]


@pytest.mark.parametrize(
    ("low", "high", "state"),
    [(0.1, 0.2, "above"), (0.0, 0.2, "covers"), (-0.1, 0.0, "not above"), (-0.2, -0.1, "not above"),
     (math.nan, math.nan, "no interval")],
)  # fmt: skip
def test_an_end_on_the_threshold_is_not_above_it(low, high, state):
    assert state_of(Network("a", 0.0, low, high), 0.0) == state


def test_in_words_it_has_every_number():
    alt = network_figure(judged()).alt
    assert "threshold 0.25. mean over 4 networks: 0.5 [0.3, 0.7]" in alt
    assert "covers 0.4 [0.1, 0.7], covers" in alt and "bare 0.3, no interval" in alt


def test_ratios_have_a_logarithmic_axis():
    networks = (Network("a", 2.0, 0.2, 20.0), Network("b", 3.0, 2.0, 4.0))
    assert drawn(judged(networks, 2.0, ratio=True))[0].get_xscale() == "log"
    assert drawn(judged(networks, 2.0))[0].get_xscale() == "linear"


def test_fewer_than_two_networks_are_no_figure():
    assert network_figure(judged(())) is None
    assert network_figure(judged(NETWORKS[:1])) is None
    assert network_figure(Judged(judged().claim, None)) is None


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 9, 21, 40])
@pytest.mark.parametrize("length", [1, 25, 90])
def test_names_stay_on_the_paper_and_off_each_other(count, length):
    networks = [Network(f"{n:02}" + "m" * length, n / 50, n / 50 - 0.1, n / 50 + 0.1)
                for n in range(count)]  # fmt: skip
    axes, rows = drawn(judged(networks))
    assert len(rows) == count + 1
    boxes = [text.get_window_extent() for text in axes.get_yticklabels()]
    assert min(box.x0 for box in boxes) >= 0
    assert all(above.y0 >= below.y1 for above, below in pairwise(boxes))
    assert axes.get_position().width > 0.4


@pytest.mark.parametrize("theme", (LIGHT, DARK), ids=("light", "dark"))
def test_the_same_numbers_give_the_same_bytes_under_any_settings(theme, hostile):
    import matplotlib

    plain = png(network_figure(judged()).draw(theme))
    with matplotlib.rc_context(hostile):
        assert png(network_figure(judged()).draw(theme)) == plain
