"""Figures of protocols whose axis is not (dy, dx), e.g. an angle."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from shiftbench.api import measure
from shiftbench.experiment.figures import draw_protocols
from shiftbench.report.figures import axis_curve
from shiftbench.report.figures.distance import axis_agreement
from shiftbench.report.figures.jagged_curve import path_of, views_of
from shiftbench.report.figures.theme import LIGHT
from shiftbench.report.tables.panels import Panel
from shiftbench.shift.rescale import Rescale
from shiftbench.shift.rotate import Rotate
from shiftbench.shift.translate import Translate


def table(protocol, side=12):
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (5, 3, side, side), generator=generator).byte()
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.AvgPool2d(4), torch.nn.Flatten(), torch.nn.LazyLinear(4))
    model(images[:1].float())
    return measure(model, images, [0, 1, 2, 3, 0], protocol, resamples=10).predictions


def test_a_curve_weighs_the_shifts_of_a_value_by_their_images():
    shifts = pd.DataFrame({
        "dy": [0, 1, 0], "angle": [30, 30, -30], "accuracy": [1.0, 0.0, 0.5],
        "agreement": [0.2, 0.6, 1.0], "n_images": [1, 3, 2],
    })  # fmt: skip
    rows = axis_curve.curves(shifts, "angle")
    assert rows["angle"].tolist() == [-30, 30]
    assert rows["accuracy"].tolist() == pytest.approx([0.5, 0.25])
    assert rows["agreement"].tolist() == pytest.approx([1, 0.5])


@pytest.mark.parametrize(
    ("protocol", "axis", "positions", "base"),
    [
        (Rotate(step=30), "angle", np.arange(-180, 180, 30), 0),
        (Rescale(6, steps=4), "scale", np.arange(6, 11), 6),
        (Rotate(angles=[-45, 5, 0]), "angle", [-45, 0, 5], 0),
    ],
)
def test_a_path_may_run_along_an_axis(protocol, axis, positions, base):
    path = path_of(table(protocol))
    assert path.name == axis
    assert path.position.tolist() == list(positions)
    assert path.position[views_of(path)].tolist().count(base) == 1
    assert path.label.startswith({"angle": "angle (°", "scale": "shorter side"}[axis])


def test_a_path_of_pixels_is_labelled_with_its_direction():
    assert path_of(table(Translate(max_shift=1))).label == "diagonal shift (px)"


def panel_of(protocol):
    rows = pd.DataFrame({
        "config_id": ["a", "b"], "label": ["blur", "max"], "pool": ["blur", "max"],
        "augment": ["none"] * 2, "protocol": [protocol] * 2,
    })  # fmt: skip
    return Panel(protocol, protocol, rows)


def rows_of(protocol, **axis):
    [(name, values)] = axis.items()
    return pd.DataFrame([
        {"run_id": run, "protocol": protocol, "dy": np.nan, "dx": np.nan,
         name: value, "accuracy": 1.0, "agreement": agreement, "n_images": 4,
         "config_id": run[0]}
        for run, agreement in (("a1", 0.5), ("a2", 0.7), ("b1", 0.9)) for value in values
    ])  # fmt: skip


def test_the_page_draws_agreement_over_the_angle():
    shifts = rows_of("rotate", angle=[-90, 0, 90])
    spec = axis_agreement(panel_of("rotate"), shifts)
    assert spec.name == "axis-rotate"
    assert spec.title.endswith("over the angle, rotate")
    assert "blur: 60.0\u00a0% at -90°, 60.0\u00a0% at 90°" in spec.alt
    [axes] = [axes for axes in spec.draw(LIGHT).axes if axes.get_xlabel()]
    assert axes.get_xlabel() == "angle (°, counter-clockwise)"
    low, high = axes.get_xlim()
    assert low < -90 < 90 < high


def test_protocols_with_other_axes_have_no_such_figure():
    moved = rows_of("circular", scale=[1, 2]).assign(dy=1.0, dx=0.0)
    assert axis_agreement(panel_of("circular"), moved) is None
    assert axis_agreement(panel_of("rotate"), moved) is None
    assert axis_agreement(panel_of("rotate"), rows_of("rotate", angle=[0])) is None


@pytest.mark.slow
def test_a_run_draws_curves_over_angles_and_maps_over_pixels(tmp_path, tiny_data):
    from shiftbench.metric import per_shift

    protocols = {"rotate": Rotate(step=30), "translate": Translate(max_shift=1)}
    tables = {name: table(protocol, 16) for name, protocol in protocols.items()}
    shifts = {name: per_shift(found) for name, found in tables.items()}
    draw_protocols(tmp_path, "max", tiny_data, protocols, tables, shifts)
    assert {path.name for path in tmp_path.iterdir()} == {
        f"{kind}{name}.png" for kind in ("", "views_", "jagged_") for name in protocols
    }
    shape = {}
    for name in protocols:
        with Image.open(tmp_path / f"{name}.png") as figure:
            shape[name] = figure.width / figure.height
    assert shape["rotate"] > 1.4 > shape["translate"]  # curves are wide, a heat map is not


@pytest.fixture
def tiny_data():
    from shiftbench.data.shapes import load

    return load(size=16, train_images=40, test_images=10)
