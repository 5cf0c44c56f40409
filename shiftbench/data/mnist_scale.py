"""MNIST-scale: 12,000 + 50,000 digits of MNIST, each smaller by a random factor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from shiftbench.data.changes import changes_for_test
from shiftbench.data.images import Dataset
from shiftbench.data.mnist import CLASSES, SOURCE
from shiftbench.data.stratified import Parts
from shiftbench.data.torchvision_sets import read_mnist
from shiftbench.data.transformed import Pool, transformed_dataset
from shiftbench.errors import UsageError, printable
from shiftbench.ops.window_resize import shrink_about_centre
from shiftbench.seeds import derive_seed

# A digit of 20 pixels is 2 pixels high.
_SMALLEST = 0.1


def load(
    root: str | Path | None = None,
    train_images: int = 12000,
    test_images: int = 50000,
    val_fraction: float = 0.1667,
    split_seed: int = 0,
    data_seed: int = 0,
    scale: Sequence[float] = (0.3, 1.0),
    test: Mapping[str, Any] | None = None,
) -> Dataset:
    """Return digits of random sizes, ``(N, 1, 28, 28)`` uint8; same arguments give the same bytes.

    The splits are drawn from all 70,000 images, every class in its share, and each digit is
    scaled by its own factor about the centre of its canvas: bilinear, antialiased, on black.
    ``amounts`` of a split are its factors. Splits and factors as Sosnovik et al. 2020 (SESN, arXiv
    1910.11093, six seeds), whose code interpolates with a bicubic filter that is not antialiased.

    Args:
        root: Folder that contains, or will contain, ``MNIST/raw``; None is the cache folder.
        train_images: Images for training and validation together.
        test_images: Images for testing; with ``train_images`` at most 70,000.
        val_fraction: Share of ``train_images`` that is the validation split; 2,000 by default.
        split_seed: Seed that draws the splits.
        data_seed: Seed of the factors, independent of the run's seed.
        scale: Smallest and largest factor, 0.1 to 1; ``(1, 1)`` is MNIST itself.
        test: ``{scale: ...}`` of the test split; None is as in training.

    Raises:
        UsageError: If a value is out of its range.
        ShiftbenchError: If the files are missing and cannot be downloaded, or are damaged.
    """
    parts = Parts(train_images, test_images, val_fraction, split_seed)
    changes = changes_for_test(test, ("scale",), "{scale: [0.3,0.6]}")
    trained = _checked("data.scale", scale)
    tested = _checked("data.test.scale", changes.get("scale", scale))
    pool = Pool.of(*read_mnist(SOURCE, root))
    generator = torch.Generator().manual_seed(derive_seed(data_seed, "mnist_scale", "factors"))
    shares = torch.rand(len(pool.labels), generator=generator, dtype=torch.float64)
    amounts = (_between(shares, trained), _between(shares, tested))
    return transformed_dataset("mnist_scale", CLASSES, pool, parts, shrink_about_centre, amounts)


def _between(shares: Tensor, ends: tuple[float, float]) -> Tensor:
    return ends[0] + (ends[1] - ends[0]) * shares


def _checked(key: str, value: object) -> tuple[float, float]:
    """Return the smallest and the largest factor.

    Raises:
        UsageError: If ``value`` is not two such numbers.
    """
    pair = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else []
    numbers = all(isinstance(end, int | float) and not isinstance(end, bool) for end in pair)
    if len(pair) != 2 or not numbers or not _SMALLEST <= pair[0] <= pair[1] <= 1:
        raise UsageError(
            f"{key}={printable(value)} is not allowed; give two numbers from {_SMALLEST} to 1, the "
            "smaller one first, such as [0.3,1.0]"
        )
    return float(pair[0]), float(pair[1])
