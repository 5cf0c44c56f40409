"""Moving images: known answers and properties."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from shiftbench.ops.geometry import FILLS, translate

sizes = st.integers(1, 9)
offsets = st.integers(-30, 30)


def inputs(height, width, count=2):
    generator = torch.Generator().manual_seed(height * 100 + width)
    return torch.randint(0, 256, (count, 3, height, width), generator=generator).to(torch.uint8)


@given(sizes, sizes, offsets, offsets)
def test_circular_is_torch_roll(height, width, dy, dx):
    images = inputs(height, width)
    moved = translate(images, torch.tensor([[dy, dx]] * 2), "circular")
    assert torch.equal(moved, images.roll((dy, dx), (2, 3)))


@given(sizes, sizes, offsets, offsets)
def test_circular_there_and_back_is_the_image(height, width, dy, dx):
    images, offset = inputs(height, width), torch.tensor([[dy, dx]] * 2)
    assert torch.equal(translate(translate(images, offset), -offset), images)


@given(sizes, sizes, st.integers(-8, 8), st.integers(-8, 8))
def test_black_is_a_crop_of_the_zero_padded_image(height, width, dy, dx):
    images, pad = inputs(height, width), 8
    padded = torch.nn.functional.pad(images, (pad,) * 4)
    window = padded[:, :, pad - dy : pad - dy + height, pad - dx : pad - dx + width]
    assert torch.equal(translate(images, torch.tensor([[dy, dx]] * 2), "black"), window)


@pytest.mark.parametrize(("fill", "mode"), [("reflect", "reflect"), ("edge", "replicate")])
def test_mirrored_and_repeated_borders_are_torchs(fill, mode):
    images = inputs(6, 5)
    padded = torch.nn.functional.pad(images.float(), (4,) * 4, mode=mode).to(torch.uint8)
    for dy, dx in [(4, -4), (-3, 2), (0, 1)]:
        moved = translate(images, torch.tensor([[dy, dx]] * 2), fill)
        assert torch.equal(moved, padded[:, :, 4 - dy : 10 - dy, 4 - dx : 9 - dx])


def test_every_image_has_its_own_offset():
    images = inputs(5, 5)
    moved = translate(images, torch.tensor([[1, 0], [0, -2]]), "circular")
    assert torch.equal(moved[0], images[0].roll(1, 1))
    assert torch.equal(moved[1], images[1].roll(-2, 2))


def test_mean_fill_is_the_mean_in_both_pixel_types():
    mean = (0.2, 0.4, 0.6)
    offset = torch.tensor([[1, 0], [1, 0]])
    byte = translate(inputs(4, 4), offset, "mean", mean)
    unit = translate(inputs(4, 4).float() / 255, offset, "mean", mean)
    assert byte[0, :, 0, 0].tolist() == [51, 102, 153]
    torch.testing.assert_close(unit[0, :, 0, 0], torch.tensor(mean))


@pytest.mark.parametrize("fill", FILLS)
def test_no_offset_is_the_image(fill):
    images = inputs(1, 7)
    assert torch.equal(translate(images, torch.zeros(2, 2), fill, (0.5,) * 3), images)
