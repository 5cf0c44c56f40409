"""Fashion-MNIST: 60,000 + 10,000 images of clothes, 28×28 grey, 10 classes."""

from __future__ import annotations

from pathlib import Path

from torchvision.datasets import FashionMNIST

from shiftbench.data.images import Dataset
from shiftbench.data.selection import Selection
from shiftbench.data.torchvision_sets import Source, load_mnist

SOURCE = Source(
    "fashion_mnist",
    "Fashion-MNIST",
    "https://github.com/zalandoresearch/fashion-mnist",
    FashionMNIST,
)
CLASSES = tuple(FashionMNIST.classes)
# Folder of the official files in Debian's package dataset-fashion-mnist.
DEBIAN = Path("/usr/share/datasets/fashion-mnist")


def load(
    root: str | Path | None = None,
    val_fraction: float = 0.1,
    split_seed: int = 0,
    limit_train: int | None = None,
    limit_test: int | None = None,
) -> Dataset:
    """Return Fashion-MNIST, downloaded once; images are ``(N, 1, 28, 28)`` uint8.

    Args:
        root: Folder that contains, or will contain, ``FashionMNIST/raw``; None is Debian's
            package ``dataset-fashion-mnist`` if installed, else the cache folder.
        val_fraction: Share of the training images kept for validation, between 0 and 1.
        split_seed: Seed of the validation split and of the limits.
        limit_train: Maximum number of training images; None for all.
        limit_test: Maximum number of test images; None for all.

    Raises:
        UsageError: If a value is out of its range.
        ShiftbenchError: If the files are missing and cannot be downloaded, or are damaged.
    """
    choice = Selection(val_fraction, split_seed, limit_train, limit_test)
    return load_mnist(SOURCE, root, choice, CLASSES, system=DEBIAN)
