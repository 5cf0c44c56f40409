"""The jagged curve: which columns lie on the path, which images are drawn, the strips."""

import numpy as np
import pytest
import torch

from shiftbench.api import measure
from shiftbench.data.images import TensorSplit
from shiftbench.data.shown import ShownSplit
from shiftbench.predict.strips import strips
from shiftbench.report.figures.jagged_curve import jagged, path_of, typical_images, views_of
from shiftbench.shift.circular import Circular
from shiftbench.shift.translate import Translate


def inputs(count=6, channels=3, side=8):
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (count, channels, side, side), generator=generator).byte()


def table(protocol, images=None):
    images = inputs() if images is None else images
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.MaxPool2d(2), torch.nn.Flatten(), torch.nn.LazyLinear(4))
    model(images[:1].float())
    return measure(model, images, [0] * len(images), protocol, resamples=10).predictions


@pytest.mark.parametrize(
    ("protocol", "expected"),
    [
        (Translate(max_shift=2), [(k, k) for k in range(-2, 3)]),
        (Translate(max_shift=2, path="horizontal"), [(0, k) for k in range(-2, 3)]),
        (Translate(max_shift=2, path="vertical"), [(k, 0) for k in range(-2, 3)]),
        (Circular(sampling="all"), [(k, k) for k in range(-4, 4)]),
    ],
)
def test_the_path_runs_through_the_base_from_minus_to_plus(protocol, expected):
    answers = table(protocol)
    path = path_of(answers)
    assert [tuple(shift) for shift in answers.shifts[path.columns].tolist()] == expected
    assert path.position.tolist() == [sum(s) / (2 if s[0] and s[1] else 1) for s in expected]
    assert path.name == protocol.sampling.path


def test_drawn_shifts_have_no_path():
    assert path_of(table(Circular(draws=4, sampling="draws"))) is None


def test_images_are_picked_by_rank_from_calm_to_restless():
    answers = table(Translate(max_shift=2), inputs(40))
    chosen = typical_images([answers])
    ranges = np.ptp(answers.p_true[:, path_of(answers).columns], axis=1)
    assert len(chosen) == 4
    assert (np.diff(ranges[chosen]) >= 0).all()
    assert typical_images([table(Translate(max_shift=2), inputs(1))]) == [0]


def test_a_strip_holds_the_pixels_that_the_network_was_shown():
    images = inputs()
    split = TensorSplit(images, torch.zeros(6, dtype=torch.long))
    strip = strips(ShownSplit(split, (8, 8)), Circular(), [4], [(0, 0), (1, -2)])[4]
    assert strip.shape == (2, 8, 8, 3)
    expected = images[4].roll((1, -2), (1, 2)).permute(1, 2, 0)
    assert (strip[1] == expected.numpy()).all()
    floats = TensorSplit(images / 255, split.labels)
    assert (strips(ShownSplit(floats, (8, 8)), Circular(), [4], [(1, -2)])[4][0] == strip[1]).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_the_figure_is_drawn_and_the_same_each_time(tmp_path, channels):
    images = inputs(channels=channels)
    protocol = Translate(max_shift=2)
    answers = table(protocol, images)
    path = path_of(answers)
    chosen = typical_images([answers])
    split = TensorSplit(images, torch.zeros(6, dtype=torch.long))
    shown = strips(
        ShownSplit(split, (8, 8)), protocol, chosen, answers.shifts[path.columns[views_of(path)]]
    )
    for name in ("a.png", "b.png"):
        jagged({"max": answers, "blur": answers}, shown, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (tmp_path / "a.png").stat().st_size > 10_000
