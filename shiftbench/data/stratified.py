"""Splits drawn from one pool of images, every class with the same share in each of them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from shiftbench.errors import UsageError, printable
from shiftbench.seeds import derive_seed


@dataclass(frozen=True)
class Parts:
    """How many images of a pool each split has, and the seed that draws them.

    Attributes:
        train_images: Images for training and validation together, 2 or more.
        test_images: Images for testing, 1 or more.
        val_fraction: Share of ``train_images`` that is the validation split, between 0 and 1.
        split_seed: Seed of the draw, independent of the run's seed.
    """

    train_images: int
    test_images: int
    val_fraction: float
    split_seed: int = 0

    def __post_init__(self) -> None:
        for key, least in (("train_images", 2), ("test_images", 1)):
            count = getattr(self, key)
            if not isinstance(count, int) or isinstance(count, bool) or count < least:
                raise UsageError(
                    f"data.{key}={printable(count)} is not allowed; give a whole number from "
                    f"{least} up"
                )
        if not 0 < self.val_fraction < 1 or not 0 < self.val_images < self.train_images:
            raise UsageError(
                f"data.val_fraction={self.val_fraction} of {self.train_images} images leaves none "
                "to train on; give a number between 0 and 1, e.g. 0.1"
            )

    @property
    def val_images(self) -> int:
        """Number of validation images, at least one."""
        return max(1, round(self.train_images * self.val_fraction))

    def draw(self, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the positions of training, validation and test images in the pool.

        Of ten equally frequent classes, every split has its share of each, less than four images
        more or fewer. The pool is put in one random order; training and validation images are
        taken from its start, test images from its end, so that a smaller split is a part of a
        larger one.

        Args:
            labels: ``(N,)`` int64, of the pool.

        Raises:
            UsageError: If the pool has fewer images.
        """
        if self.train_images + self.test_images > len(labels):
            raise UsageError(
                f"data.train_images={self.train_images} and data.test_images={self.test_images} "
                f"are more than the {len(labels)} images that there are; use fewer"
            )
        generator = torch.Generator().manual_seed(derive_seed(self.split_seed, "data", "parts"))
        order = stratified_order(labels, generator)
        start = self.train_images - self.val_images
        train, val = order[:start], order[start : self.train_images]
        return train, val, order[len(order) - self.test_images :]


def stratified_order(labels: Tensor, generator: torch.Generator) -> Tensor:
    """Return a random order ``(N,)`` in which every class is spread evenly.

    Image number r of a class of n, in random order, is put at the place (r + u)/n with u uniform
    in 0..1, so the images of the class before any place are its share, less than one more or less.
    """
    places = torch.rand(len(labels), generator=generator, dtype=torch.float64)
    for label in labels.unique().tolist():
        members = (labels == label).nonzero().flatten()
        rank = torch.randperm(len(members), generator=generator)
        places[members] = (rank + places[members]) / len(members)
    return places.argsort(stable=True)
