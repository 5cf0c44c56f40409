"""The figures of a study: Pareto fronts, lengths of shifts, and which figures apply."""

import io

import matplotlib
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from shiftbench.report.figures.agreement_maps import heatmap_figure
from shiftbench.report.figures.augmentation import augmentation_figure, series
from shiftbench.report.figures.distance import curves, distance_figure
from shiftbench.report.figures.drawing import png
from shiftbench.report.figures.page_figures import write_figure
from shiftbench.report.figures.pareto import on_front, pareto_figure
from shiftbench.report.figures.plain_shifts import distances, torus_side
from shiftbench.report.figures.point_labels import _apart
from shiftbench.report.figures.theme import (
    COLORS,
    DARK,
    DPI,
    LIGHT,
    MARKERS,
    THEMES,
    FigureSpec,
    plain,
    pool_styles,
)
from shiftbench.report.page.caveats import caveats
from shiftbench.report.tables.labels import labels
from shiftbench.report.tables.panels import panels


def drawn(spec, theme=LIGHT):
    return Image.open(io.BytesIO(png(spec.draw(theme), DPI, COLORS)))


def made(figure_of, study, *rest):
    """The figures of one kind, of all panels to which it applies."""
    found = (figure_of(panel, *rest) for panel in panels(study.summary()))
    return [spec for spec in found if spec]


def every_figure(study):
    shifts, settings = study.named_shifts(), {run.config_id: run.settings for run in study.runs}
    yield from made(pareto_figure, study)
    yield from made(augmentation_figure, study)
    yield from made(distance_figure, study, shifts, settings)
    yield from made(heatmap_figure, study, shifts)


@pytest.mark.slow
@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
def test_figures_have_the_same_bytes_under_any_settings(study, theme, hostile):
    expected = [png(spec.draw(theme)) for spec in every_figure(study)]
    with matplotlib.rc_context(hostile):
        assert [png(spec.draw(theme)) for spec in every_figure(study)] == expected
    assert len(expected) == 8


def test_a_figure_that_fails_is_left_out_and_said(tmp_path, caplog):
    def fail(theme):
        raise RuntimeError("latex was not found")

    assert write_figure(FigureSpec("pareto-a", "a title", "a text", fail), tmp_path) is None
    assert "pareto-a.png could not be made (RuntimeError: latex was not found)" in caplog.text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("points", "front"),
    [
        ([(0.9, 0.1), (0.1, 0.9), (0.5, 0.5)], [True, True, True]),
        ([(0.9, 0.9), (0.1, 0.9), (0.9, 0.1)], [True, False, False]),  # dominated
        ([(0.5, 0.5), (0.5, 0.5), (0.4, 0.6)], [True, True, True]),  # equal points
        ([(0.5, 0.5), (np.nan, 0.9)], [True, False]),
        ([(0.3, 0.3)], [True]),
    ],
)
def test_the_front_is_what_none_beats(points, front):
    assert on_front(np.array(points)).tolist() == front


def test_the_front_by_brute_force():
    points = np.random.default_rng(0).integers(0, 6, (60, 2)).astype(float)
    for point, front in zip(points, on_front(points), strict=True):
        beaten = any((other >= point).all() and (other > point).any() for other in points)
        assert front == (not beaten)


def test_the_alt_text_of_the_front_tells_its_numbers(study):
    circular, _ = made(pareto_figure, study)
    front, rest = circular.alt.split("Beaten in both:")
    # blur is the most accurate, aps the most consistent; crop adds 2 points of consistency
    assert "blur · crop, consistency 82.5\u00a0%, accuracy 90.0\u00a0%" in front
    assert "aps · crop" in front
    assert all(name in rest for name in ("aps · none", "blur · none", "max · none", "max · crop"))


def test_distance_on_the_plane_and_on_a_torus():
    dy, dx = np.array([0.0, 3.0, -31.0, 16.0]), np.array([0.0, -4.0, 0.0, 16.0])
    assert distances(dy, dx) == pytest.approx([0, 5, 31, 512**0.5])
    assert distances(dy, dx, side=32) == pytest.approx([0, 5, 1, 512**0.5])


def test_what_comes_round_and_after_how_many_pixels():
    rows = pd.DataFrame({"dy": [-16.0, 15.0], "dx": [0.0, 3.0]})
    circular = {"shift.mine._target_": "shiftbench.shift.circular.Circular"}
    assert torus_side(rows, "mine", circular | {"data.size": 40}) == 40
    assert torus_side(rows, "mine", circular) == 32
    assert torus_side(rows + 16, "mine", circular) == 32
    assert torus_side(rows, "translate", {"shift.translate._target_": "a.Translate"}) is None


def test_curves_average_over_shifts_of_one_length_and_leave_the_base_out():
    rows = pd.DataFrame({
        "label": "a", "pool": "max", "augment": "none",
        "run_id": ["r0"] * 4 + ["r1"],
        "dy": [0.0, 0.0, 1.0, 7.0, 1.0], "dx": [0.0, 1.0, 0.0, 0.0, 0.0],
        "agreement": [1.0, 0.8, 0.2, 0.4, 0.9], "n_images": [9, 30, 10, 40, 5],
    })  # fmt: skip
    flat = curves(rows).set_index("distance")
    assert flat.index.tolist() == [1, 7]
    assert flat.loc[1, "low"] == pytest.approx((0.8 * 30 + 0.2 * 10) / 40)  # weighted by n_images
    assert flat.loc[1, "high"] == pytest.approx(0.9)
    assert flat.loc[1, "value"] == pytest.approx((0.65 + 0.9) / 2)
    torus = curves(rows, side=8).set_index("distance")  # 7 px down is 1 px up
    assert torus.index.tolist() == [1]
    assert torus.loc[1, "low"] == pytest.approx((0.8 * 30 + 0.2 * 10 + 0.4 * 40) / 80)


def test_one_level_of_augmentation_has_no_such_figure(make_study):
    assert made(augmentation_figure, make_study(augments=("none",))) == []


def test_one_configuration_has_no_front_but_its_map(make_study):
    study = make_study(pools=("max",), augments=("none",))
    assert made(pareto_figure, study) == []
    names = [spec.name for spec in every_figure(study)]
    assert names == ["distance-circular", "distance-translate", "heatmaps-circular",
                     "heatmaps-translate"]  # fmt: skip


def test_shifts_of_scale_or_along_a_line_have_no_map(study):
    shifts = study.named_shifts()
    assert made(heatmap_figure, study, shifts[shifts["dy"] == 0]) == []
    assert len(made(distance_figure, study, shifts[shifts["dy"] == 0], {})) == 2
    assert made(distance_figure, study, shifts.assign(scale=0.9), {}) == []
    assert made(distance_figure, study, shifts.assign(dy=np.nan, dx=np.nan), {}) == []
    assert made(heatmap_figure, study, shifts.iloc[:0]) == []


def test_nothing_done_draws_nothing(make_study):
    study = make_study(pools=())
    study.wait("pool=max")
    assert list(every_figure(study)) == []
    assert panels(study.summary()) == []


@pytest.mark.slow
@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
def test_every_figure_is_one_and_on_its_paper(study, theme):
    paper = tuple(int(theme.paper[place : place + 2], 16) for place in (1, 3, 5))
    specs = list(every_figure(study))
    assert len(specs) == 8
    for spec in specs:
        image = drawn(spec, theme).convert("RGB")
        assert min(image.size) > 300
        assert image.getpixel((1, 1)) == paper
        assert len(image.getcolors(100_000)) > 20
        assert spec.alt and spec.title


def test_the_same_numbers_give_the_same_bytes(study):
    first, second = (png(made(pareto_figure, study)[0].draw(LIGHT)) for _ in range(2))
    assert first == second


def test_hostile_names_are_drawn_as_they_are(troubled):
    for spec in every_figure(troubled):
        drawn(spec)  # $ starts no formula, and missing glyphs cause no warning
    assert plain("a 🙂\nb$") == "a □ b$"


@pytest.mark.slow
def test_more_maps_and_lines_than_one_can_look_at(make_study):
    study = make_study(pools=[f"pool{n:02}" for n in range(15)], augments=("none", "crop"), seeds=1)
    for spec in every_figure(study):
        drawn(spec)
        if spec.name.startswith("heatmaps"):
            assert "the first 12 of 30" in spec.title
    lines = series(panels(study.summary())[0].rows)
    assert lines["series"].nunique() == 15 and lines["low"].isna().all()


def test_a_pool_keeps_its_colour_whoever_else_is_drawn():
    for theme in (LIGHT, DARK):
        alone, together = pool_styles(["blur"], theme), pool_styles(["mine", "blur", "max"], theme)
        assert alone["blur"] == together["blur"]
    shown = pool_styles(MARKERS, LIGHT)
    assert len({style["color"] for style in shown.values()}) == len(shown)
    assert len({style["marker"] for style in shown.values()}) == len(shown)


def test_labels_tell_configurations_apart():
    frame = pd.DataFrame({
        "data": "shapes", "pool": ["max", "blur", "blur"], "settings": ["", "", "pool.pad=1"],
        "config_id": ["aaaa1", "bbbb2", "cccc3"],
    })  # fmt: skip
    assert labels(frame).tolist() == ["max", "blur", "blur · pool.pad=1"]
    same = frame.assign(settings="")
    assert labels(same).tolist() == ["max", "blur · bbbb", "blur · cccc"]


def test_names_at_line_ends_stand_apart():
    heights = _apart(np.array([0.1, 0.11, 0.5, 0.98, 0.99, 1.0]), gap=0.05)
    assert (np.diff(heights) >= 0.05 - 1e-9).all()
    assert heights.min() >= 0 and heights.max() <= 1 + 1e-9
    assert heights[2] == pytest.approx(0.5)


def caveats_of(study):
    summary = study.summary()
    return caveats(panels(summary), summary)


def test_a_whole_study_has_no_caveats(study):
    assert caveats_of(study) == []


def test_caveats_say_that_means_are_over_as_many_seeds_as_are_done(make_study):
    study = make_study()
    study.add("avg", "none", 0)
    assert caveats_of(study)[0].startswith("Means are over 1 to 2 seeds, as not every run is done")


def test_caveats_warn_of_seeds_that_differ_by_more_than_images(study):
    for row in study.metrics:
        if row["metric"] == "consistency" and row["pool"] == "max":
            row["value"] += 0.1 * row["seed"]
    assert "standard deviation of consistency is up to 0.078" in caveats_of(study)[-1]


def test_caveats_warn_of_one_seed_and_of_a_network_with_one_answer(make_study):
    study = make_study(seeds=1)
    for row in study.metrics:
        if row["metric"] == "chance_consistency" and row["pool"] == "aps":
            row["value"] = 0.97
    first, second, last = caveats_of(study)
    assert first.startswith(
        "Under circular, aps · none (and 1 more) mostly gives one and the same answer"
    )
    assert "97.0\u00a0%" in first and second.startswith("Under translate")
    assert last.startswith("One run per configuration")
    assert caveats_of(make_study(pools=())) == []
