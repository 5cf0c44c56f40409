"""Data sets made from a pool of images, each transformed by an amount of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from shiftbench.data.images import Dataset, TensorSplit, pixel_statistics
from shiftbench.data.scenes import one_thread
from shiftbench.data.stratified import Parts

Transform = Callable[[Tensor, Tensor], Tensor]
"""Images ``(N, C, H, W)`` float64 in 0..255 and amounts ``(N,)`` -> images of the same shape."""
# Images transformed at once: their positions and weights take some megabytes.
_CHUNK = 500


@dataclass(frozen=True)
class TransformedSplit(TensorSplit):
    """Transformed images, and what each was made from.

    Attributes:
        images: ``(N, C, H, W)`` uint8.
        labels: ``(N,)`` int64.
        source: ``(N,)`` int64, positions in the pool, on the CPU.
        amounts: ``(N,)`` float64 on the CPU: degrees, or factors.
    """

    source: Tensor
    amounts: Tensor

    def to(self, device: torch.device) -> TransformedSplit:
        """Return the split with images and labels on ``device``."""
        images, labels = self.images.to(device), self.labels.to(device)
        return TransformedSplit(images, labels, self.source, self.amounts)


@dataclass(frozen=True)
class Pool:
    """All images of an official data set, training images first.

    Attributes:
        images: ``(N, C, H, W)`` uint8.
        labels: ``(N,)`` int64.
    """

    images: Tensor
    labels: Tensor

    @classmethod
    def of(cls, train: TensorSplit, test: TensorSplit) -> Pool:
        """Return the images of both official splits."""
        return cls(torch.cat([train.images, test.images]), torch.cat([train.labels, test.labels]))

    def split(self, index: Tensor, amounts: Tensor, transform: Transform) -> TransformedSplit:
        """Return the images at ``index (M,)``, transformed by their ``amounts`` ``(N,)``."""
        images = transformed(self.images[index], amounts[index], transform)
        return TransformedSplit(images, self.labels[index], index, amounts[index])


def transformed_dataset(
    name: str,
    classes: tuple[str, ...],
    pool: Pool,
    parts: Parts,
    transform: Transform,
    amounts: tuple[Tensor, Tensor],
) -> Dataset:
    """Return the splits that ``parts`` draws from the pool, transformed.

    Args:
        name: Name of the data set in tables.
        classes: Names of the classes.
        pool: The images.
        parts: The draw of the splits.
        transform: How an image is transformed by an amount.
        amounts: Of every image of the pool, ``(N,)`` float64, if it is in training or
            validation, and if it is in the test split. An amount belongs to the image, whatever
            split it is drawn into.

    Raises:
        UsageError: If the pool has too few images.
    """
    train, val, test = (
        pool.split(index, own, transform)
        for index, own in zip(
            parts.draw(pool.labels), (amounts[0], amounts[0], amounts[1]), strict=True
        )
    )
    mean, std = pixel_statistics(train.images)
    channels, height, width = pool.images.shape[1:]
    return Dataset(name, classes, (channels, height, width), mean, std, train, val, test)


@one_thread()
def transformed(images: Tensor, amounts: Tensor, transform: Transform) -> Tensor:
    """Return uint8 images transformed one by one, rounded and clipped to 0..255.

    In double precision and on one thread, so that no byte depends on the number of threads, nor
    in practice on the rounding of the processor.
    """
    result = torch.empty_like(images)
    for rows in torch.arange(len(images)).split(_CHUNK):
        part = transform(images[rows].double(), amounts[rows])
        result[rows] = part.round().clamp(0, 255).to(torch.uint8)
    return result
