"""Augmentation levels."""

import pytest
import torch

from shiftbench.augment.crop import CropAugment
from shiftbench.augment.full import FullAugment
from shiftbench.augment.none import NoAugment
from shiftbench.augment.rotate import RotateAugment
from shiftbench.augment.shift import ShiftAugment
from shiftbench.errors import UsageError
from shiftbench.ops.rotation import turn

LEVELS = (NoAugment(), CropAugment(), ShiftAugment(), ShiftAugment(3, "black"), FullAugment(),
          RotateAugment(), RotateAugment(15, "edge"))  # fmt: skip


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def marked(count=4000, size=9):
    """Images with one white pixel in the middle, so that an offset can be read off."""
    images = torch.zeros(count, 1, size, size, dtype=torch.uint8)
    images[:, :, size // 2, size // 2] = 255
    return images


def offsets_of(images):
    rows, columns = images.flatten(1).argmax(1) // 9, images.flatten(1).argmax(1) % 9
    return torch.stack([rows, columns], 1) - 4


@pytest.mark.parametrize("augment", LEVELS, ids=str)
def test_the_draws_are_the_generators(augment):
    images = torch.randint(0, 256, (16, 3, 12, 12), generator=generator()).to(torch.uint8)
    first, again, other = (augment(images, generator(seed)) for seed in (1, 1, 2))
    assert first.shape == images.shape
    assert torch.equal(first, again)
    if not isinstance(augment, NoAugment):
        assert not torch.equal(first, other)


@pytest.mark.parametrize("augment", LEVELS, ids=str)
def test_global_random_state_is_left_alone(augment):
    state = torch.random.get_rng_state()
    augment(marked(8), generator())
    assert torch.equal(torch.random.get_rng_state(), state)


def test_none_returns_the_images():
    images = marked(3)
    assert NoAugment()(images, generator()) is images


def test_crop_reaches_both_ends_and_every_offset_between_alike():
    offsets = offsets_of(CropAugment(max_shift=2, flip=False)(marked(), generator()))
    counts = torch.bincount((offsets + 2)[:, 0] * 5 + (offsets + 2)[:, 1], minlength=25)
    assert offsets.amin() == -2
    assert offsets.amax() == 2
    assert (counts - 160).abs().max() < 6 * 160**0.5


def test_crop_flips_half_of_the_images():
    images = torch.zeros(2000, 1, 3, 3, dtype=torch.uint8)
    images[:, :, :, 0] = 255
    flipped = CropAugment(max_shift=0)(images, generator())[:, 0, 0, 2] == 255
    assert 900 < int(flipped.sum()) < 1100


def test_shift_draws_every_circular_offset_per_image():
    offsets = offsets_of(ShiftAugment()(marked(), generator()))
    assert len({tuple(offset) for offset in offsets.tolist()}) == 81


def test_shift_that_wraps_keeps_every_pixel():
    images = torch.randint(0, 256, (8, 3, 6, 6), generator=generator()).to(torch.uint8)
    shifted = ShiftAugment()(images, generator())
    assert torch.equal(shifted.flatten(2).sort(2).values, images.flatten(2).sort(2).values)


@pytest.mark.parametrize("fill", ["black", "reflect", "edge"])
@pytest.mark.parametrize("size", [(12, 12), (9, 13)])
def test_rotations_are_those_of_the_protocol(size, fill):
    images = torch.rand(40, 3, *size, generator=generator())
    augment = RotateAugment(fill=fill)
    [angles] = augment.draw(40, size, generator(1))
    assert angles.amin() < -90 and angles.amax() > 90
    expected = turn(images, angles, fill=fill)
    seen = augment.apply(images, angles)
    torch.testing.assert_close(seen, expected, atol=1e-5, rtol=0)


def test_angles_are_uniform_up_to_the_largest():
    [angles] = RotateAugment(max_angle=30).draw(60_000, (8, 8), generator())
    counts = torch.histc(angles, bins=60, min=-30, max=30)
    assert counts.sum() == 60_000
    assert (counts - 1000).abs().max() < 5 * 1000**0.5


def test_full_rescales_between_its_limits():
    image = torch.zeros(500, 1, 32, 32)
    image[:, :, 8:24, 8:24] = 1
    areas = FullAugment(scale=(0.5, 1.0))(image, generator()).sum((1, 2, 3)) / 256
    assert 0.24 < float(areas.min()) < 0.35
    assert 0.9 < float(areas.max()) < 1.05


def test_full_at_scale_one_only_moves():
    images = torch.randint(0, 256, (8, 3, 6, 6), generator=generator()).to(torch.uint8)
    moved = (FullAugment(scale=(1, 1))(images, generator()) * 255).round().to(torch.uint8)
    assert torch.equal(moved.flatten(2).sort(2).values, images.flatten(2).sort(2).values)


@pytest.mark.parametrize(
    "make",
    [
        lambda: CropAugment(max_shift=-1),
        lambda: ShiftAugment(max_shift=-1),
        lambda: ShiftAugment(fill="mean"),
        lambda: FullAugment(scale=(0, 1)),
        lambda: FullAugment(scale=(2, 1)),
        lambda: RotateAugment(max_angle=181),
        lambda: RotateAugment(fill="mean"),
    ],
)
def test_settings_out_of_range_are_refused(make):
    with pytest.raises(UsageError):
        make()
