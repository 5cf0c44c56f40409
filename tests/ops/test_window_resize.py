"""Resizing of windows, compared with Pillow's resize with a box and with torch's."""

import numpy as np
import pytest
import torch
from PIL import Image

from shiftbench.ops.geometry import resize
from shiftbench.ops.window_resize import resize_windows, shrink_about_centre

BOXES = [(0, 0, 17, 20), (2, 3, 10, 10), (1.25, 0.5, 9.7, 17.3), (5.1, 6.2, 4.4, 5.5)]
FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def inputs(channels=1):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (1, channels, 17, 20), generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize("mode", FILTERS)
@pytest.mark.parametrize("size", [(16, 16), (7, 9), (30, 25)])
@pytest.mark.parametrize("box", BOXES)
def test_windows_are_those_of_pillow(mode, size, box):
    image, (top, left, height, width) = inputs(), box
    area = (left, top, left + width, top + height)
    seen = resize_windows(image.float(), torch.tensor([box]), size, mode)[0, 0].numpy()
    form = ((size[1], size[0]), FILTERS[mode], area)
    exact = np.asarray(Image.fromarray(image[0, 0].numpy().astype(np.float32)).resize(*form))
    assert np.abs(seen - exact).max() < 1e-3  # of 255: sums of a few hundred terms in float32
    rounded = resize_windows(image, torch.tensor([box]), size, mode)[0, 0].int().numpy()
    # To the nearest: only halves, which float32 does not always hit, may go up or down.
    assert np.abs(rounded - exact.clip(0, 255)).max() < 0.5 + 1e-3
    if mode == "bilinear":  # of bytes, Pillow also rounds, and clips, between rows and columns
        in_bytes = np.asarray(Image.fromarray(image[0, 0].numpy()).resize(*form)).astype(int)
        assert np.abs(rounded - in_bytes).max() <= 1


@pytest.mark.parametrize("mode", FILTERS)
@pytest.mark.parametrize("size", [(17, 20), (9, 9), (25, 31)])
def test_the_whole_image_as_a_window_is_a_resized_image(mode, size):
    images = inputs(3).float() / 255
    seen = resize_windows(images, torch.tensor([(0, 0, 17, 20)]), size, mode)
    assert torch.allclose(seen, resize(images, size, mode), atol=1e-5)


def test_every_image_has_its_own_window():
    images = inputs().expand(2, 1, 17, 20)
    seen = resize_windows(images, torch.tensor([(0, 0, 8, 8), (9, 12, 8, 8)]), (8, 8))
    assert torch.equal(seen[0], images[0, :, :8, :8])
    assert torch.equal(seen[1], images[1, :, 9:, 12:])


def test_shrinking_by_one_keeps_every_pixel():
    images = torch.randint(0, 256, (3, 2, 7, 10), dtype=torch.uint8)
    assert torch.equal(shrink_about_centre(images, torch.ones(3)), images)
    assert torch.equal(shrink_about_centre(images.double(), torch.ones(3)), images.double())


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("times", [2, 3])
def test_shrinking_is_resizing_a_larger_black_canvas(mode, times):
    """By 1/k it equals putting the image on a canvas k times as wide, resized to the image's."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(2, 3, 8, 12, generator=generator, dtype=torch.float64)
    # More black around the canvas, which is cut off again, so that there is no border.
    sides = [(times + 2) * side for side in images.shape[-2:]]
    margins = [(wide - side) // 2 for wide, side in zip(sides, images.shape[-2:], strict=True)]
    canvas = torch.nn.functional.pad(images, [margins[1], margins[1], margins[0], margins[0]])
    boxes = torch.tensor([[8.0, 12.0, times * 8.0, times * 12.0]] * 2)
    expected = resize_windows(canvas, boxes, (8, 12), mode)
    factors = torch.full((2,), 1 / times, dtype=torch.float64)
    torch.testing.assert_close(shrink_about_centre(images, factors, mode), expected)


@pytest.mark.parametrize("factor", [0.3, 0.45, 0.77])
def test_shrinking_keeps_the_centre_and_scales_the_mass(factor):
    """A blob of σ = 2.5 px, 3 px left of the centre: its sum scales with the area."""
    places = torch.arange(28, dtype=torch.float64) - 13.5
    blob = torch.exp(-(places**2) / 12.5)[:, None] * torch.exp(-((places + 3) ** 2) / 12.5)
    shrunk = shrink_about_centre(blob[None, None], torch.tensor([factor]))[0, 0]
    assert float(shrunk.sum() / blob.sum()) == pytest.approx(factor**2, rel=0.01)
    assert float((shrunk.sum(1) * places).sum() / shrunk.sum()) == pytest.approx(0, abs=1e-9)
    across = float((shrunk.sum(0) * places).sum() / shrunk.sum())
    assert across == pytest.approx(-3 * factor, abs=0.01)


def test_every_image_has_a_factor_of_its_own():
    images = torch.rand(3, 1, 9, 9, dtype=torch.float64)
    factors = torch.tensor([0.3, 1.0, 0.6], dtype=torch.float64)
    alone = [shrink_about_centre(images[n : n + 1], factors[n : n + 1]) for n in range(3)]
    torch.testing.assert_close(shrink_about_centre(images, factors), torch.cat(alone))
