"""Small folders of images, in the layout of ``data=folder``, and their data sets."""

import numpy as np
import pytest
import torch
from PIL import Image

from shiftbench.data.folder import load

CLASSES = ("cat", "dog", "emu")
DECODED = "decoding"
# Marks of the tests of data=folder: a cache of their own; worker processes are forks.
FOLDER_TESTS = [
    pytest.mark.usefixtures("folder_cache"),
    pytest.mark.filterwarnings(
        "ignore:.*multi-threaded, use of fork:DeprecationWarning",
        "ignore:This DataLoader will create:UserWarning",
    ),
]


def make_folder(root, counts, classes=CLASSES):
    for split, count in counts.items():
        for label, name in enumerate(classes):
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                write_image(root / split / name / f"{number:02}.png", number, label, split)
    return root


def write_image(path, number, label, split, side=8):
    """Write an image whose first pixel encodes its number and label."""
    rng = np.random.default_rng([number, label, len(split)])
    pixels = rng.integers(0, 256, (side, side, 3), np.uint8)
    pixels[0, 0] = (number, label, 0)
    Image.fromarray(pixels).save(path)


def read(split, batch_size=7, order=None):
    images, labels = zip(*split.batches(batch_size, order), strict=True)
    return torch.cat(images), torch.cat(labels)


def quick(root, **values):
    return load(root, **{"size": 8, "workers": 0, **values})


def cache_files(tmp_path):
    return sorted((tmp_path / "cache" / "folder").glob("*.npz"))


def same(one, two):
    pairs = [(getattr(one, name), getattr(two, name)) for name in ("train", "val", "test")]
    return all(torch.equal(a, b) for pair in pairs for a, b in zip(*map(read, pair), strict=True))
