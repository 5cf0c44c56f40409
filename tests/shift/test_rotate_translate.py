"""Rotations and translations on a grid, compared with scipy."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from shiftbench.data.shown import ShownSplit
from shiftbench.errors import UsageError
from shiftbench.metric.example import table_of
from shiftbench.metric.worst_of_k import worst_of_k
from shiftbench.ops.rotation import turn
from shiftbench.shift.rotate_translate import RotateTranslate

TOLERANCE = 5e-5  # positions in float32, as in test_rotate.py


def inputs(shape):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)


def views(protocol, images, shift):
    shifts = torch.tensor([shift], dtype=torch.float32).expand(len(images), 3)
    return protocol.views(ShownSplit.of(images), torch.arange(len(images)), shifts)


def engstrom_by_scipy(image, dy, dx, angle):
    """One interpolation of the formula: a pixel shows the image at R⁻¹(pixel − offset)."""
    radians = np.deg2rad(angle)
    back = np.array([[np.cos(radians), np.sin(radians)], [-np.sin(radians), np.cos(radians)]])
    centre = (np.array(image.shape) - 1) / 2
    return ndimage.affine_transform(
        image, back, centre - back @ np.add(centre, [dy, dx]), order=1, mode="grid-constant"
    )


@pytest.mark.parametrize("shift", [(0, 0, 12), (1.5, -3, -30), (-3, 1.5, 2), (2.5, 0, 0)])
@pytest.mark.parametrize("shape", [(2, 3, 16, 16), (1, 1, 13, 20)])
def test_views_are_those_of_the_formula_by_scipy(shape, shift):
    images = inputs(shape)
    seen = views(RotateTranslate(), images, shift).numpy()
    for image, view in zip(images.numpy() / 255, seen, strict=True):
        for channel, shown in zip(image, view, strict=True):
            assert np.abs(shown - engstrom_by_scipy(channel, *shift)).max() < TOLERANCE


def test_content_moves_down_and_to_the_right_and_turns_counter_clockwise():
    image = torch.zeros(1, 1, 9, 9)
    image[0, 0, 4, 6] = 1  # to the right of the centre
    turned = turn(image, torch.tensor([90.0]), torch.tensor([[1.0, 2.0]]))
    assert turned[0, 0].nonzero().tolist() == [[2 + 1, 4 + 2]]


def test_without_a_rotation_whole_pixels_are_moved_exactly():
    images = inputs((1, 3, 9, 9))
    seen = views(RotateTranslate(fill="edge"), images, (2, -1, 0))
    assert torch.equal(seen[:, :, 2:, :-1], images[:, :, :-2, 1:] / 255)
    assert torch.equal(seen[:, :, 0, :-1], images[:, :, 0, 1:] / 255)


def test_the_grid_is_that_of_the_publication():
    plan = RotateTranslate(sampling="all").plan(3, (32, 32))
    assert len(plan) == int(plan.sampled.sum()) == 5 * 5 * 31
    assert plan.shifts[0].tolist() == [0, 0, 0]
    dy, dx, angle = (sorted(set(axis.tolist())) for axis in plan.shifts.unbind(1))
    assert dy == dx == [-3, -1.5, 0, 1.5, 3]
    assert angle == list(range(-30, 31, 2))
    after = (plan.previous >= 0).nonzero().squeeze(1)
    assert len(after) == 5 * 5 * 30
    steps = plan.shifts[after] - plan.shifts[plan.previous[after]]
    assert set(map(tuple, steps.tolist())) == {(0, 0, 2)}
    assert plan.meta == {"step": "2°"}


def test_a_tenth_of_the_side_may_be_given():
    plan = RotateTranslate(max_shift=0.1, shifts=3, angles=3, sampling="all").plan(1, (224, 224))
    assert sorted(set(plan.shifts[:, 0].tolist())) == pytest.approx([-22.4, 0, 22.4])


def test_ten_draws_per_image_are_the_images_own():
    plan = RotateTranslate(sampling="draws", draws=10).plan(50, (32, 32))
    drawn = plan.shifts[:, plan.sampled]
    assert drawn.shape == (50, 10, 3)
    assert len({tuple(row.flatten().tolist()) for row in drawn}) == 50


def test_the_worst_of_ten_is_the_chance_that_ten_of_the_grid_are_right():
    answers = np.zeros((2, 775), int)
    answers[1, 5:10] = 1  # the second image is wrong five times of 775
    table = table_of(answers, [0, 0])
    right = np.prod([(770 - k) / (775 - k) for k in range(10)])
    assert worst_of_k(table, k=10).value == pytest.approx((1 + right) / 2)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: RotateTranslate(shifts=4), "shifts=4 is not allowed; give an odd number"),
        (lambda: RotateTranslate(angles=1), "from 3 to 721"),
        (lambda: RotateTranslate(max_angle=0), "max_angle=0 is out of range"),
        (lambda: RotateTranslate(fill="inpaint"), "black, mean, reflect, edge"),
        (lambda: RotateTranslate(interpolation="linear"), "did you mean 'bilinear'"),
        (lambda: RotateTranslate(max_shift=0).plan(1, (8, 8)), "allowed: 1 to 7 px"),
        (lambda: RotateTranslate(max_shift=8).plan(1, (8, 8)), "does not fit images of 8×8"),
    ],
)
def test_what_cannot_apply_is_refused(make, sentence):
    with pytest.raises(UsageError, match=sentence):
        make()
