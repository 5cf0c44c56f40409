"""Which images of a data set are used, and which of them validate."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from shiftbench.data.images import Dataset, TensorSplit, pixel_statistics, split_train_val
from shiftbench.errors import UsageError
from shiftbench.seeds import derive_seed


@dataclass(frozen=True)
class Selection:
    """The choice of images, fixed by its own seed so that every run sees the same splits.

    Attributes:
        val_fraction: Share of the training images kept for validation, between 0 and 1.
        split_seed: Seed of the choice; not the seed of the run.
        limit_train: Use at most so many training images, drawn without regard to class and
            before validation images are cut from them; None uses all.
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
                "give a number between 0 and 1, such as 0.1"
            )
        for key in ("limit_train", "limit_test"):
            limit = getattr(self, key)
            if limit is not None and limit < 1:
                raise UsageError(f"data.{key}={limit} leaves no image; give 1 or more, or null")

    def train_subset(self, count: int) -> Tensor:
        """Return the rising indices of the training images to use, of ``count``."""
        return self._subset("train", count, self.limit_train)

    def test_subset(self, count: int) -> Tensor:
        """Return the rising indices of the test images to use, of ``count``."""
        return self._subset("test", count, self.limit_test)

    def cut(self, count: int) -> tuple[Tensor, Tensor]:
        """Return shuffled ``(train, val)`` indices into ``count`` training images.

        Raises:
            UsageError: If nothing would be left to train on.
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
        # In rising order, so that images are read as they are stored.
        return torch.randperm(count, generator=self._generator(name))[:limit].sort().values

    def _generator(self, name: str) -> torch.Generator:
        return torch.Generator().manual_seed(derive_seed(self.split_seed, "data", name))


def select_dataset(
    name: str, classes: tuple[str, ...], train: TensorSplit, test: TensorSplit, choice: Selection
) -> Dataset:
    """Return the data set of two official splits held in memory, with a validation split cut."""
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
