"""Figures: the same bytes under all user settings, and a warning if drawing fails."""

import logging
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib import colormaps

from shiftbench.report.attempts import attempt
from shiftbench.report.figures.drawing import colormap, own_settings
from shiftbench.report.figures.example_views import protocol_figure
from shiftbench.report.figures.layers import depth_figure, maps_figure
from shiftbench.report.figures.shift_plane import heatmap
from shiftbench.report.figures.theme import _characters, plain


def shifts():
    plane = [(dy, dx) for dy in range(-2, 3) for dx in range(-2, 3)]
    rows = pd.DataFrame(plane, columns=["dy", "dx"], dtype=float)
    return rows.assign(agreement=1 - 0.05 * rows["dx"].abs() - 0.03 * (rows["dy"] > 0))


def layers():
    rows = [
        {"index": index, "layer": f"layer{index}", "kind": "Conv2d", "stride": stride, "dy": dy,
         "dx": dx, "equivariance_error": 0.1 * (dy != 0), "cosine_distance": 0.0,
         "invariance_error": 0.2 * (dx != 0)}
        for index, stride in enumerate((1, 2)) for dy in (0, 1) for dx in (0, 1)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def views(path):
    base = np.random.default_rng(0).random((2, 6, 6, 3)).astype(np.float32)
    protocol_figure(base, 1 - base, path, title="a title", captions=["dy = −1", "dx = 2"])


FIGURES = {
    "heatmap": lambda path: heatmap(shifts(), "a title", "agreement", path),
    "depth": lambda path: depth_figure(layers(), path),
    "maps": lambda path: maps_figure(layers(), path),
    "views": views,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_of_a_run_has_the_same_bytes_under_any_settings(name, tmp_path, hostile):
    FIGURES[name](tmp_path / "a.png")
    with matplotlib.rc_context(hostile):
        FIGURES[name](tmp_path / "b.png")
        assert matplotlib.rcParams["font.size"] == 23  # the user's settings are restored
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_names_are_held_against_the_font_that_is_drawn_with():
    with matplotlib.rc_context({"font.family": "monospace"}):
        _characters.cache_clear()
        assert plain("Größe −1 α") == "Größe −1 α"
    with own_settings():
        assert matplotlib.rcParams["font.family"] == ["sans-serif"]


@pytest.mark.parametrize("name", ["viridis", "cividis", "coolwarm", "gray"])
def test_color_maps_have_as_many_shades_whatever_the_user_set(name):
    positions = np.linspace(0, 1, 999)
    assert np.array_equal(colormap(name)(positions), colormaps[name](positions))
    assert colormap(name).N == 256


def test_a_figure_that_fails_is_one_warning_that_names_it(caplog):
    with attempt("figures/a.png"):
        raise RuntimeError("no font\nand much more")
    [record] = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert record.getMessage() == "figures/a.png could not be made (RuntimeError: no font)"


def test_ctrl_c_is_no_failed_figure():
    with pytest.raises(KeyboardInterrupt), attempt("figures/a.png"):
        raise KeyboardInterrupt


def test_only_one_module_reads_settings_and_saves_figures():
    package = Path(__file__).parents[3] / "shiftbench"
    for path in package.rglob("*.py"):
        text = path.read_text("utf-8")
        if path.name != "drawing.py":
            assert ".savefig(" not in text, path
            assert "rcParams" not in text, path
            assert "colormaps[" not in text, path
