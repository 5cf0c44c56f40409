"""Resizing of windows, compared with Pillow's resize with a box and with torch's."""

import numpy as np
import pytest
import torch
from PIL import Image

from shiftbench.ops.geometry import resize
from shiftbench.ops.window_resize import resize_windows

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
