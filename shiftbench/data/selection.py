"""Selection of the images of a data set that are used, and of those for validation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from shiftbench.data.images import Dataset, TensorSplit, pixel_statistics, split_train_val
from shiftbench.errors import UsageError
from shiftbench.seeds import derive_seed


@dataclass(frozen=True)
class Selection:
    """The selection of images, with its own seed so that every run has the same splits.

    Attributes:
        val_fraction: Share of the training images kept for validation, between 0 and 1.
        split_seed: Seed of the selection, independent of the run's seed.
        limit_train: Maximum number of training images, drawn irrespective of class and
            before validation images are taken from them; None for all.
        limit_test: The same for the test images.
    """

    val_fraction: float = 0.1
    split_seed: int = 0
    limit_train: int | None = None
    limit_test: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.val_fraction < 1:
            raise UsageError(
                f"data.val_fraction={self.val_fraction} is not a share of the training images; "
                "give a number between 0 and 1, e.g. 0.1"
            )
        for key in ("limit_train", "limit_test"):
            limit = getattr(self, key)
            if limit is not None and limit < 1:
                raise UsageError(f"data.{key}={limit} leaves no image; give 1 or more, or null")

    def train_subset(self, count: int) -> Tensor:
        """Return the sorted indices of the training images to use, of ``count``."""
        return self._subset("train", count, self.limit_train)

    def test_subset(self, count: int) -> Tensor:
        """Return the sorted indices of the test images to use, of ``count``."""
        return self._subset("test", count, self.limit_test)

    def cut(self, count: int) -> tuple[Tensor, Tensor]:
        """Return shuffled ``(train, val)`` indices into ``count`` training images.

        Raises:
            UsageError: If no training image would remain.
        """
        train, val = split_train_val(count, self.val_fraction, self._generator("val"))
        if not len(train):
            raise UsageError(
                f"data.val_fraction={self.val_fraction} of {count} training image(s) leaves none "
                "to train on; use a smaller fraction or more images"
            )
        return train, val

    def _subset(self, name: str, count: int, limit: int | None) -> Tensor:
        if limit is None or limit >= count:
            return torch.arange(count)
        # Sorted, so that images are read in stored order.
        return torch.randperm(count, generator=self._generator(name))[:limit].sort().values

    def _generator(self, name: str) -> torch.Generator:
        return torch.Generator().manual_seed(derive_seed(self.split_seed, "data", name))


def select_dataset(
    name: str, classes: tuple[str, ...], train: TensorSplit, test: TensorSplit, choice: Selection
) -> Dataset:
    """Return the data set of two official splits in memory, with a validation split."""
    kept = choice.train_subset(len(train))
    train_part, val_part = (pick(train, kept[index]) for index in choice.cut(len(kept)))
    mean, std = pixel_statistics(train_part.images)
    channels, height, width = train.images.shape[1:]
    return Dataset(
        name=name,
        classes=classes,
        image_shape=(channels, height, width),
        mean=mean,
        std=std,
        train=train_part,
        val=val_part,
        test=pick(test, choice.test_subset(len(test))),
    )


def pick(split: TensorSplit, index: Tensor) -> TensorSplit:
    """Return the images of ``split`` at ``index`` ``(M,)``, in that order."""
    return TensorSplit(split.images[index], split.labels[index])
