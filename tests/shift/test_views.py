"""The views of every protocol agree with its documentation."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shiftbench.data.shapes import load
from shiftbench.data.shown import ShownSplit
from shiftbench.errors import UsageError
from shiftbench.ops.geometry import paste, resize, translate, windows
from shiftbench.shift.camera import Camera
from shiftbench.shift.crop import Crop
from shiftbench.shift.embed import Embed
from shiftbench.shift.inpaint import inpaint
from shiftbench.shift.rescale import Rescale
from shiftbench.shift.subpixel import Subpixel, fourier_shift

SHAPES = [(1, 3, 16, 16), (3, 1, 17, 15), (2, 3, 13, 20)]  # one image; grey, odd sides; not square
MEAN = [0.25, 0.5, 0.75]


def inputs(shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)


def views(protocol, images, shifts, mean=None):
    """Return every image, shifted by its shift."""
    return protocol.views(ShownSplit.of(images, mean), torch.arange(len(images)), shifts)


def every_view(protocol, images, mean=None):
    """Yield (shift, views of all images) for every column of the plan."""
    plan = protocol.plan(len(images), tuple(images.shape[-2:]))
    rows = plan.rows(0, len(images))
    for column in range(len(plan)):
        yield rows[0, column].tolist(), views(protocol, images, rows[:, column], mean)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("margin", [None, 3, 6])
def test_crops_are_the_windows_of_the_enlarged_image(shape, margin):
    images = inputs(shape)
    height, width = shape[-2:]
    seen = set()
    grown = round(min(height, width) / 7) if margin is None else margin
    whole = resize(images, (height + grown, width + grown), "bicubic")
    for (dy, dx), views in every_view(Crop(margin, sampling="all"), images):
        top, left = grown // 2 - dy, grown // 2 - dx
        seen.add((top, left))
        assert torch.equal(views, whole[:, :, top : top + height, left : left + width])
    assert seen == {(y, x) for y in range(grown + 1) for x in range(grown + 1)}


def test_the_base_of_a_crop_is_its_central_window():
    images = inputs((1, 1, 8, 8))
    whole = resize(images, (10, 10), "bicubic")
    assert torch.equal(views(Crop(2), images, torch.zeros(1, 2)), whole[:, :, 1:9, 1:9])


def test_enlarging_keeps_the_type_and_the_range():
    images = inputs((2, 3, 9, 9)).round() // 255 * 255  # black and white, so bicubic overshoots
    assert resize(images, (12, 12), "bicubic").dtype == torch.uint8
    flat = torch.full((1, 3, 9, 9), 0.3)
    assert torch.allclose(resize(flat, (12, 12), "bicubic"), torch.tensor(0.3), atol=1e-6)
    assert resize(images, (9, 9)) is images


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("fill", ["black", "mean", "inpaint"])
def test_an_embedded_object_moves_whole(shape, fill):
    images = inputs(shape)
    mean = MEAN[: shape[1]]
    canvas = tuple(shape[-2:])
    size = tuple(round(round(0.5 * min(canvas)) * side / min(canvas)) for side in canvas)
    objects = resize(images, size)
    room = [outer - inner for outer, inner in zip(canvas, size, strict=True)]
    seen = set()
    for (dy, dx), views in every_view(Embed(0.5, fill=fill, sampling="all"), images, mean):
        top, left = room[0] // 2 + dy, room[1] // 2 + dx
        seen.add((top, left))
        assert views.shape == images.shape
        assert views.dtype == (torch.float32 if fill == "mean" else torch.uint8)
        inside = torch.zeros(canvas, dtype=torch.bool)
        inside[top : top + size[0], left : left + size[1]] = True
        shown = views[:, :, inside] * 255 if fill == "mean" else views[:, :, inside]
        assert torch.equal(shown.round().to(torch.uint8), objects.flatten(2))
        if fill == "black":
            assert not views[:, :, ~inside].any()
        if fill == "mean":
            assert (views[:, :, ~inside] == torch.tensor(mean)[:, None]).all()
    assert seen == {(y, x) for y in range(room[0] + 1) for x in range(room[1] + 1)}


def test_a_canvas_may_be_larger_than_the_images():
    images = inputs((2, 1, 8, 8))
    protocol = Embed(8, canvas=12)
    for (dy, dx), views in every_view(protocol, images):
        assert views.shape == (2, 1, 12, 12)
        assert torch.equal(views[:, :, 2 + dy : 10 + dy, 2 + dx : 10 + dx], images)


@given(
    shape=st.sampled_from(SHAPES),
    corner=st.tuples(st.integers(0, 10), st.integers(0, 9)),
    size=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    as_float=st.booleans(),
)
@settings(max_examples=25, deadline=None)
def test_inpainting_keeps_what_is_known_and_fills_the_rest(shape, corner, size, as_float):
    images = inputs(shape)
    images = images.float() / 255 if as_float else images
    known = torch.zeros(len(images), 1, *shape[-2:], dtype=torch.bool)
    known[..., corner[0] : corner[0] + size[0], corner[1] : corner[1] + size[1]] = True
    filled = inpaint(images, known)
    assert filled.dtype == images.dtype
    assert torch.equal(filled.where(known, images), images)
    patch = images.float().where(known, torch.nan).flatten(2)
    low, high = patch.nan_to_num(1e9).amin(2), patch.nan_to_num(-1e9).amax(2)
    values = filled.float().flatten(2)
    slack = 1e-5 if as_float else 0.5
    assert (values >= low[..., None] - slack).all()  # a mean of known pixels
    assert (values <= high[..., None] + slack).all()
    other = images.masked_fill(~known, 0)
    assert torch.equal(inpaint(other, known), filled)  # unknown pixels have no influence


def test_inpainting_is_the_normalised_convolution():
    row = torch.tensor([0.0, 0.6, 0.2, 0.0]).reshape(1, 1, 1, 4)
    known = torch.tensor([False, True, True, False]).reshape(1, 1, 1, 4)
    one, two = 792.0, 495.0  # binomial coefficients of order 12, at distances 1 and 2
    left = (one * 0.6 + two * 0.2) / (one + two)
    right = (one * 0.2 + two * 0.6) / (one + two)
    assert inpaint(row, known).flatten().tolist() == pytest.approx([left, 0.6, 0.2, right])


def test_inpainting_without_anything_known_is_an_error():
    with pytest.raises(ValueError, match="no known pixel"):
        inpaint(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2, dtype=torch.bool))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_rescaled_object_has_the_size_it_says(shape):
    images = inputs(shape) | 1  # no pixel is black
    for (scale,), views in every_view(Rescale(0.5, steps=5), images):
        rows = views.amax((0, 1, 3)).nonzero().flatten()
        columns = views.amax((0, 1, 2)).nonzero().flatten()
        size = (len(rows), len(columns))
        assert min(size) == scale
        for side, place, canvas in zip(size, (rows, columns), shape[-2:], strict=True):
            assert int(place[0]) == (canvas - side) // 2  # stays centred
            assert int(place[-1]) == int(place[0]) + side - 1
        inner = views[:, :, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert torch.equal(inner, resize(images, size))


def test_sizes_are_consecutive_and_the_last_may_fill_the_canvas():
    plan = Rescale(24, steps=8).plan(3, (32, 32))
    assert plan.shifts[:, 0].tolist() == list(range(24, 33))
    assert plan.previous.tolist() == list(range(-1, 8))
    images = inputs((1, 1, 32, 32))
    assert torch.equal(views(Rescale(24), images, torch.tensor([[32]])), images)


@given(
    shape=st.sampled_from(SHAPES),
    shift=st.tuples(st.integers(-9, 9), st.integers(-9, 9)),
)
@settings(max_examples=25, deadline=None)
def test_a_whole_fourier_shift_is_a_roll(shape, shift):
    images = inputs(shape)
    moved = views(Subpixel(), images, torch.tensor(shift).expand(len(images), 2))
    assert moved.dtype == torch.float32
    assert torch.allclose(moved, images.roll(shift, (2, 3)).float() / 255, atol=1e-5)


@given(
    size=st.tuples(st.integers(3, 12), st.integers(3, 12)),
    shift=st.tuples(st.floats(-6, 6), st.floats(-6, 6)),
)
@settings(max_examples=40, deadline=None)
def test_fourier_shifts_add_up_and_keep_energy_below_nyquist(size, shift):
    images = torch.rand(2, 1, *size, generator=torch.Generator().manual_seed(1))
    spectrum = torch.fft.fft2(images)
    for axis, side in ((2, size[0]), (3, size[1])):
        if side % 2 == 0:
            spectrum.index_fill_(axis, torch.tensor([side // 2]), 0)
    smooth = torch.fft.ifft2(spectrum).real
    offset = torch.tensor(shift, dtype=torch.float64).expand(2, 2)
    moved = fourier_shift(smooth, offset)
    assert torch.allclose(fourier_shift(moved, -offset), smooth, atol=1e-5)
    assert torch.allclose(
        fourier_shift(fourier_shift(smooth, offset / 2), offset / 2), moved, atol=1e-5
    )
    assert torch.allclose((moved**2).sum((1, 2, 3)), (smooth**2).sum((1, 2, 3)), rtol=1e-4)


def test_two_half_shifts_are_a_whole_one_on_odd_sizes():
    images = inputs((2, 3, 15, 15))
    half = torch.full((2, 2), 0.5)
    twice = fourier_shift(views(Subpixel(), images, half), half)
    assert torch.allclose(twice, images.roll((1, 1), (2, 3)).float() / 255, atol=1e-5)


def test_a_half_shift_of_a_wave_is_the_wave_between_its_samples():
    position = torch.arange(16.0)
    wave = torch.cos(2 * torch.pi * 3 * position / 16).expand(1, 1, 16, 16)
    expected = torch.cos(2 * torch.pi * 3 * (position - 0.5) / 16).expand(1, 1, 16, 16)
    assert torch.allclose(fourier_shift(wave, torch.tensor([[0.0, 0.5]])), expected, atol=1e-5)
    checks = torch.tensor([1.0, -1.0]).repeat(8).expand(1, 1, 16, 16)  # Nyquist frequency
    assert fourier_shift(checks, torch.tensor([[0.0, 0.5]])).abs().max() < 1e-6


@pytest.fixture(scope="module")
def shapes():
    return load(size=24, train_images=40, test_images=12)


def test_the_camera_shows_the_split_and_a_whole_move_is_a_roll_inside(shapes):
    protocol, split = Camera(max_shift=2, fraction=0.5), ShownSplit.of_test(shapes)
    index = torch.tensor([7, 3, 0, 11, 2])
    base = shapes.test.images[index]
    assert torch.equal(protocol.views(split, index, torch.zeros(5, 2)), base)
    moved = protocol.views(split, index, torch.tensor([[2.0, -1.0]]).expand(5, 2))
    inside = (slice(None), slice(None), slice(3, 21), slice(3, 21))
    difference = moved.int() - base.roll((2, -1), (2, 3)).int()
    assert difference[inside].abs().max() <= 1  # rounding of a grey level
    assert not torch.equal(protocol.views(split, index, torch.full((5, 2), 0.5)), base)


def test_fractional_offsets_are_every_multiple_and_the_path_is_one_pixel():
    for protocol in (Camera(1, 0.25), Subpixel(0.25, 1)):
        plan = protocol.plan(1, (16, 16))
        axis = np.arange(-4, 5) / 4
        assert sorted(map(tuple, plan.shifts.tolist())) == [(y, x) for y in axis for x in axis]
        ends = (plan.previous >= 0).nonzero().squeeze(1)
        assert len(ends) == 25
        assert torch.equal(plan.shifts[plan.previous[ends]] + 1, plan.shifts[ends])


def test_offsets_go_in_steps_of_the_fraction_from_the_first_one_on():
    for fraction, offsets, axis in [
        (1, [0.5, 3.5], [0.5, 1.5, 2.5, 3.5]),
        (0.5, [-0.25, 0.75], [-0.25, 0.25, 0.75]),
        (0.5, [0, 1], [0, 0.5, 1]),
    ]:
        plan = Subpixel(fraction, sampling="all", offsets=offsets).plan(1, (16, 16))
        shown = plan.shifts[plan.sampled].tolist()
        assert sorted(map(tuple, shown)) == [(y, x) for y in axis for x in axis]


@given(
    corner=st.tuples(st.integers(0, 4), st.integers(0, 3)), size=st.tuples(*[st.integers(1, 5)] * 2)
)
@settings(max_examples=20, deadline=None)
def test_pasting_and_cutting_out_are_inverse(corner, size):
    objects = inputs((2, 3, *size))
    placed, inside = paste(objects, torch.tensor([corner] * 2), (9, 9))
    assert torch.equal(windows(placed, torch.tensor([corner] * 2), size), objects)
    assert int(inside.sum()) == 2 * size[0] * size[1]
    origin, _ = paste(objects, torch.zeros(2, 2), (9, 9))
    assert torch.equal(translate(origin, torch.tensor([corner] * 2), "black"), placed)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Crop(0).plan(1, (32, 32)), "margin=0"),
        (lambda: Crop(33).plan(1, (32, 32)), "allowed: 1 to 32"),
        (lambda: Crop(1, end=False).plan(1, (32, 32)), "single offset"),
        (lambda: Embed(33).plan(1, (32, 32)), "does not fit a canvas"),
        (lambda: Embed(20, canvas=16).plan(1, (32, 32)), "does not fit a canvas"),
        (lambda: Embed(32).plan(1, (32, 32)), "leaves no room"),
        (lambda: Embed(20, canvas=20).plan(1, (16, 32)), "leaves no room"),
        (lambda: Embed(canvas=0).plan(1, (32, 32)), "canvas=0"),
        (lambda: Embed(fill="blck"), "did you mean 'black'"),
        (lambda: Embed(sampling="path", steps=9).plan(1, (32, 32)), "steps=9"),
        (lambda: Rescale(30).plan(1, (32, 32)), "grows to 38×38"),
        (lambda: Rescale(steps=0), "too few"),
        (lambda: Rescale(fill="edge"), "black, mean, inpaint"),
        (lambda: Subpixel(0.3).plan(1, (32, 32)), "another 1/n"),
        (lambda: Subpixel(0).plan(1, (32, 32)), "another 1/n"),
        (lambda: Subpixel(0.5, 0.75).plan(1, (32, 32)), "no multiple of fraction=0.5"),
        (lambda: Subpixel(1, offsets=[0.5, 3]).plan(1, (32, 32)), "no whole number of steps"),
        (lambda: Subpixel(1, offsets=[0.3001, 3.3001]).plan(1, (32, 32)), "a whole number of 1/16"),
        (lambda: Subpixel(0.5, 16).plan(1, (32, 32)), "does not fit images"),
        (lambda: Subpixel(0.5, 0).plan(1, (32, 32)), "does not fit images"),
        (lambda: Camera(32).plan(1, (32, 32)), "does not fit images"),
        (lambda: Camera(offsets=[1, 0]), "smaller first"),
        (lambda: Camera().check(ShownSplit.of(torch.zeros(1, 1, 4, 4))), "only data=shapes"),
        (lambda: views(Camera(), torch.zeros(1, 1, 4, 4), torch.zeros(1, 2)), "data=shapes"),
    ],
)
def test_what_cannot_apply_is_refused(make, sentence):
    with pytest.raises(UsageError, match=sentence):
        make()
