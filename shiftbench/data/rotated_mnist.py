"""MNIST rotated by random angles: 12,000 + 50,000 of its 70,000 images, 28×28 grey."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shiftbench.data.images import Dataset
from shiftbench.data.mnist import CLASSES, SOURCE
from shiftbench.data.rotated import check_angles, rotated_dataset
from shiftbench.data.stratified import Parts
from shiftbench.data.torchvision_sets import read_mnist
from shiftbench.data.transformed import Pool


def load(
    root: str | Path | None = None,
    train_images: int = 12000,
    test_images: int = 50000,
    val_fraction: float = 0.1667,
    split_seed: int = 0,
    data_seed: int = 0,
    angles: str = "uniform",
    test: Mapping[str, Any] | None = None,
) -> Dataset:
    """Return rotated digits, ``(N, 1, 28, 28)`` uint8; the same arguments give the same bytes.

    The splits are drawn from all 70,000 images, every class in its share, and each image is
    rotated counter-clockwise by its own angle: bilinear, black outside, about the centre.
    ``amounts`` of a split are its angles in degrees. The published files of rotated MNIST
    (Larochelle et al. 2007, 12,000 + 50,000; Worrall et al. 2017, arXiv 1612.04642) have another
    draw, and pixels that are not rounded to 1/255.

    Args:
        root: Folder that contains, or will contain, ``MNIST/raw``; None is the cache folder.
        train_images: Images for training and validation together.
        test_images: Images for testing; with ``train_images`` at most 70,000.
        val_fraction: Share of ``train_images`` that is the validation split; 2,000 by default.
        split_seed: Seed that draws the splits.
        data_seed: Seed of the angles, independent of the run's seed.
        angles: ``uniform``, from 0 to 360 degrees, or ``none``: the same images upright.
        test: ``{angles: ...}`` of the test split; None is as in training.

    Raises:
        UsageError: If a value is out of its range.
        ShiftbenchError: If the files are missing and cannot be downloaded, or are damaged.
    """
    parts = Parts(train_images, test_images, val_fraction, split_seed)
    laws = check_angles(angles, test)
    pool = Pool.of(*read_mnist(SOURCE, root))
    return rotated_dataset("rotated_mnist", CLASSES, pool, parts, laws, data_seed)
