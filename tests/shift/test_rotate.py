"""Rotations, compared with scipy, with Pillow and with the formulas in plain loops."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from shiftbench.data.shown import ShownSplit
from shiftbench.errors import UsageError
from shiftbench.ops.rotation import disc, turn
from shiftbench.shift.rotate import Rotate

SHAPES = [(1, 3, 16, 16), (3, 1, 17, 15), (2, 3, 13, 20)]
MEAN = [0.25, 0.5, 0.75]
# grid_sample computes positions in float32: up to 1e-5 px off, times at most 1 per pixel.
TOLERANCE = 5e-5
SCIPY_MODES = {"black": "grid-constant", "mean": "grid-constant", "reflect": "mirror",
               "edge": "nearest"}  # fmt: skip


def inputs(shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)


def views(protocol, images, angle, mean=None):
    shifts = torch.full((len(images), 1), float(angle))
    return protocol.views(ShownSplit.of(images, mean), torch.arange(len(images)), shifts)


def angles_of(plan):
    return plan.shifts[..., 0]


@pytest.mark.parametrize("quarter", [-4, -3, -2, -1, 0, 1, 2, 3, 4])
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic"])
def test_quarter_turns_move_pixels_counter_clockwise(quarter, interpolation):
    images = inputs((2, 3, 9, 9))
    turned = views(Rotate(interpolation=interpolation), images, 90 * quarter)
    expected = np.rot90(images.numpy(), quarter, (2, 3)).astype(np.float32) / np.float32(255)
    assert np.array_equal(turned.numpy(), expected)


def test_an_eighth_of_a_turn_puts_the_right_neighbour_above_and_to_the_right():
    image = torch.zeros(1, 1, 5, 5)
    image[0, 0, 2, 3] = 1  # one pixel to the right of the centre
    turned = views(Rotate(interpolation="nearest"), image, 45)
    assert turned[0, 0].nonzero().tolist() == [[1, 3]]


def test_an_image_that_is_not_square_is_turned_exactly_by_half_a_turn_only():
    images = inputs((1, 1, 4, 6))
    half = torch.from_numpy(np.rot90(images.numpy(), 2, (2, 3)).copy()) / 255
    assert torch.equal(views(Rotate(), images, 180), half)
    quarter = views(Rotate(), images, 90)
    assert quarter.shape == (1, 1, 4, 6)
    # Rows at ±1.5 come from columns at ±1.5: between two pixels 0.5 px from each.
    assert not torch.equal(quarter[..., 1:5], torch.rot90(images, 1, (2, 3))[..., :4] / 255)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("fill", SCIPY_MODES)
@pytest.mark.parametrize("angle", [7, -33.5, 120])
def test_bilinear_rotations_are_those_of_scipy(shape, fill, angle):
    images, mean = inputs(shape), MEAN[: shape[1]]
    turned = views(Rotate(fill=fill), images, angle, mean).numpy()
    for channel in range(shape[1]):
        expected = ndimage.rotate(
            images[:, channel].numpy() / 255, angle, axes=(1, 2), reshape=False, order=1,
            mode=SCIPY_MODES[fill], cval=mean[channel] if fill == "mean" else 0,
        )  # fmt: skip
        # scipy turns from its first axis to the second, so down to the right: counter-clockwise.
        assert np.abs(turned[:, channel] - expected).max() < TOLERANCE


@pytest.mark.parametrize("angle", [11, 45, -100])
def test_nearest_rotations_are_those_of_pillow(angle):
    images = inputs((1, 1, 32, 32))
    turned = views(Rotate(interpolation="nearest"), images, angle)[0, 0].mul(255).round().numpy()
    expected = np.asarray(Image.fromarray(images[0, 0].numpy()).rotate(angle))
    # A position half-way between two pixels may be rounded to either one.
    assert (turned != expected).mean() < 0.01


def keys(distance):
    """The kernel of Keys 1981, a = −0.75."""
    x, a = abs(distance), -0.75
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * (x**3 - 5 * x**2 + 8 * x - 4) if x < 2 else 0.0


def test_bicubic_rotations_are_the_sums_of_the_formula():
    image = inputs((1, 1, 8, 8))
    turned = views(Rotate(interpolation="bicubic"), image, 25)[0, 0]
    radians, pixels = np.deg2rad(25), image[0, 0].numpy() / 255
    for row in range(8):
        for column in range(8):
            y, x = row - 3.5, column - 3.5
            source_x = 3.5 + x * np.cos(radians) - y * np.sin(radians)
            source_y = 3.5 + x * np.sin(radians) + y * np.cos(radians)
            expected = sum(
                pixels[i, j] * keys(i - source_y) * keys(j - source_x)
                for i in range(8)
                for j in range(8)
            )
            assert float(turned[row, column]) == pytest.approx(expected, abs=TOLERANCE)


@given(angle=st.floats(-360, 360), dy=st.integers(-4, 4), dx=st.integers(-4, 4))
@settings(max_examples=25, deadline=None)
def test_a_rotation_moved_by_whole_pixels_is_the_moved_rotation(angle, dy, dx):
    images = inputs((1, 2, 12, 12)).float() / 255
    images = torch.nn.functional.pad(images, (8, 8, 8, 8))  # nothing leaves the frame
    both = turn(images, torch.tensor([angle]), torch.tensor([[dy, dx]]))
    one = turn(images, torch.tensor([angle])).roll((dy, dx), (2, 3))
    assert torch.allclose(both, one, atol=2e-4)  # positions of up to 14 px in float32


def test_the_circle_hides_whatever_the_fill_would_reach():
    images = inputs((1, 3, 17, 17))
    circle = disc((17, 17), images.device)
    assert int(circle[8].sum()) == 17
    assert not circle[0, 7]
    for angle in (0, 30, 90, 200):
        masked = views(Rotate(mask=True), images, angle)
        assert not masked[:, :, ~circle].any()
        mirrored = views(Rotate(fill="reflect"), images, angle)
        assert torch.allclose(masked[:, :, circle], mirrored[:, :, circle], atol=1e-6)
    gray = views(Rotate(mask=True, fill="mean"), images, 30, MEAN)
    assert (gray[:, :, ~circle] == torch.tensor(MEAN)[:, None]).all()


def test_a_full_circle_is_every_multiple_of_the_step_and_closes():
    plan = Rotate(step=45).plan(5, (8, 8))
    assert plan.exhaustive
    assert sorted(angles_of(plan).tolist()) == [-180, -135, -90, -45, 0, 45, 90, 135]
    assert angles_of(plan)[0] == 0
    assert plan.sampled.all()
    steps = angles_of(plan) - angles_of(plan)[plan.previous]
    assert (steps % 360 == 45).all()  # every angle has one before it
    assert plan.meta == {"step": "45°"}


def test_an_odd_number_of_angles_is_as_dense():
    angles = angles_of(Rotate(step=72).plan(1, (8, 8))).tolist()
    assert sorted(angles) == [-144, -72, 0, 72, 144]


def test_listed_angles_do_not_close_and_their_steps_lead_to_the_next():
    plan = Rotate(angles=[10, -5, 0, 40]).plan(1, (8, 8))
    assert angles_of(plan)[0] == 0
    after = (plan.previous >= 0).nonzero().squeeze(1)
    pairs = {(float(angles_of(plan)[plan.previous[k]]), float(angles_of(plan)[k])) for k in after}
    assert pairs == {(-5, 0), (0, 10), (10, 40)}
    assert plan.meta == {"step": "next angle"}
    assert Rotate(angles=[-30, 0, 30]).plan(1, (8, 8)).meta == {"step": "30°"}


def test_angles_without_the_base_view_are_tested_without_it():
    plan = Rotate(angles=[90, 180, 270]).plan(2, (8, 8))
    assert angles_of(plan).tolist() == [0, 90, 180, 270]
    assert plan.sampled.tolist() == [False, True, True, True]
    assert plan.previous.tolist() == [-1, -1, 1, 2]


def test_drawn_angles_are_the_images_own_and_steps_follow_them():
    plan = Rotate(step=1).plan(20, (8, 8))
    angles = angles_of(plan)
    assert angles.shape == (20, 1 + 32 + 8)
    assert (angles[:, 0] == 0).all()
    drawn = angles[:, plan.sampled]
    assert all(len(set(row.tolist())) == 32 for row in drawn)
    assert not torch.equal(drawn[0], drawn[1])
    after = (plan.previous >= 0).nonzero().squeeze(1)
    assert ((angles[:, after] - angles[:, plan.previous[after]]) % 360 == 1).all()


def test_a_path_is_a_sequence_around_the_base_view():
    plan = Rotate(step=2, sampling="path", steps=4).plan(1, (8, 8))
    assert sorted(angles_of(plan).tolist()) == [-4, -2, 0, 2, 4]
    assert int((plan.previous >= 0).sum()) == 4


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Rotate(step=7), "a divisor of 360"),
        (lambda: Rotate(step=0), "a divisor of 360"),
        (lambda: Rotate(step=0.01), "a divisor of 360"),
        (lambda: Rotate(angles=[0, 360]), "different rotations"),
        (lambda: Rotate(angles=[400]), "−360 to 360"),
        (lambda: Rotate(angles=30), "a list"),
        (lambda: Rotate(angles=[]), "a list"),
        (lambda: Rotate(angles=[0]).plan(1, (8, 8)), "single offset"),
        (lambda: Rotate(interpolation="cubic"), "did you mean 'bicubic'"),
        (lambda: Rotate(fill="inpaint"), "black, mean, reflect, edge"),
        (lambda: Rotate(fill="edge", mask=True), "cannot surround the circle"),
        (lambda: views(Rotate(fill="mean"), torch.zeros(1, 1, 4, 4), 10), "fill=mean"),
    ],
)
def test_what_cannot_apply_is_refused(make, sentence):
    with pytest.raises(UsageError, match=sentence):
        make()
