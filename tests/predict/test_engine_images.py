"""The digest of a table's test images covers pixels and labels and is independent of protocols."""

import numpy as np
import pytest
import torch
from torch import nn

import shiftbench
from shiftbench.predict.image_digests import image_digests
from shiftbench.prediction_table import PredictionTable


def images(count=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, 16, 16), dtype=torch.uint8, generator=generator)


@pytest.fixture
def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()


def test_a_digest_is_of_pixels_and_label():
    pixels, labels = images(2), torch.tensor([0, 1])
    first = image_digests(pixels, labels)
    assert first.dtype == torch.int64
    assert torch.equal(first, image_digests(pixels.clone(), labels))
    assert (first != image_digests(pixels, labels.flip(0))).all()
    pixels[1, 0, 0, 0] += 1
    assert (first == image_digests(pixels, labels)).tolist() == [True, False]


def test_every_protocol_has_the_same_digests(net, tmp_path):
    pixels, labels = images(), torch.tensor([0, 1, 2, 3, 0, 1])
    expected = image_digests(pixels, labels).numpy().view(np.uint64)
    for shift in ("translate", "circular", "crop", "embed"):
        table = shiftbench.measure(net, pixels, labels, shift, resamples=2).predictions
        assert np.array_equal(table.images, expected), shift
    table.save(tmp_path / "table.npz")
    assert np.array_equal(PredictionTable.load(tmp_path / "table.npz").images, expected)


def test_parts_that_are_joined_keep_theirs(net):
    pixels, labels = images(), torch.tensor([0, 1, 2, 3, 0, 1])
    whole = shiftbench.measure(net, pixels, labels, "translate", resamples=2).predictions
    parts = [
        shiftbench.measure(net, pixels[part], labels[part], "translate", resamples=2).predictions
        for part in (slice(0, 4), slice(4, 6))
    ]
    assert np.array_equal(PredictionTable.joined(parts).images, whole.images)
