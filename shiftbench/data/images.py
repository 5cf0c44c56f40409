"""The contract of a data set: three splits of uint8 images that hand out batches.

Shapes: images ``(N, C, H, W)`` uint8 in 0..255, labels ``(N,)`` int64 in 0..num_classes-1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor


class Split(Protocol):
    """Images that can be asked for in batches; small sets live in memory, large ones stream."""

    @property
    def labels(self) -> Tensor:
        """``(N,)`` int64."""
        ...

    def __len__(self) -> int:
        """Return the number of images."""
        ...

    def batches(
        self, batch_size: int, order: Tensor | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield ``(images, labels)`` batches, in ``order`` (indices) or as they are stored."""
        ...

    def to(self, device: torch.device) -> Split:
        """Return the split with its batches on ``device``."""
        ...


@runtime_checkable
class EnlargeableSplit(Split, Protocol):
    """Images that are available at any size with pixels of their own, as photographs are.

    A shift protocol that shows windows of a larger image, or a smaller one on a canvas, asks for
    it; images of other splits are resized.
    """

    def enlarged(self, size: tuple[int, int]) -> Split:
        """Return the same images in the same order, ``(N, C, *size)``, on the same device."""
        ...


Statistics = tuple[tuple[float, ...], tuple[float, ...]]
"""Per-channel mean and standard deviation of pixels, in 0..1."""


@dataclass(frozen=True)
class SeveralSizes:
    """The same images at one or several sizes: a row holds the pixels of all sizes of an image.

    Attributes:
        splits: The images, a split for each size; :func:`of_sizes` takes a row apart again.
    """

    splits: tuple[Split, ...]

    @property
    def labels(self) -> Tensor:
        """``(N,)`` int64."""
        return self.splits[0].labels

    def __len__(self) -> int:
        return len(self.splits[0])

    def batches(
        self, batch_size: int, order: Tensor | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield ``(rows (n, pixels), labels)`` batches; the last one may be smaller."""
        parts = [split.batches(batch_size, order) for split in self.splits]
        for batches in zip(*parts, strict=True):
            yield torch.cat([images.flatten(1) for images, _ in batches], dim=1), batches[0][1]

    def to(self, device: torch.device) -> SeveralSizes:
        """Return the split with its batches on ``device``."""
        return SeveralSizes(tuple(split.to(device) for split in self.splits))


def of_sizes(rows: Tensor, sizes: Sequence[tuple[int, int]]) -> list[Tensor]:
    """Return the images ``(N, C, H, W)`` of every size in rows of :class:`SeveralSizes`."""
    areas = [height * width for height, width in sizes]
    channels = rows.shape[1] // sum(areas)
    parts = rows.split([channels * area for area in areas], dim=1)
    return [part.unflatten(1, (channels, *size)) for part, size in zip(parts, sizes, strict=True)]


@dataclass(frozen=True)
class TensorSplit:
    """A split that lives whole in memory, on the CPU or on the device.

    Attributes:
        images: ``(N, C, H, W)`` uint8.
        labels: ``(N,)`` int64.
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def batches(
        self, batch_size: int, order: Tensor | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield ``(images, labels)`` batches; the last one may be smaller."""
        if order is None:
            yield from zip(
                torch.split(self.images, batch_size),
                torch.split(self.labels, batch_size),
                strict=True,
            )
            return
        for index in torch.split(order.to(self.labels.device), batch_size):
            yield self.images[index], self.labels[index]

    def to(self, device: torch.device) -> TensorSplit:
        """Return the split with both tensors on ``device``."""
        return TensorSplit(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True)
class Dataset:
    """A training, a validation and a test split of one kind of image.

    The validation split is cut from the training images by a fixed seed; the test split picks
    nothing.

    Attributes:
        name: Short name for tables and file names, without any path.
        classes: Names of the classes, in label order.
        image_shape: ``(C, H, W)`` of every image.
        mean: Per-channel mean of the training pixels, in 0..1, or what the network was made for.
        std: Per-channel standard deviation of the same, in 0..1.
        train: Empty, as ``val``, where the data is for testing only.
        preprocessing: How the images were made fit for the network, as plain values; see
            :func:`shiftbench.experiment.external_model.prepared`.
    """

    name: str
    classes: tuple[str, ...]
    image_shape: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    train: Split
    val: Split
    test: Split
    preprocessing: Mapping[str, Any] | None = field(default=None, kw_only=True)

    @property
    def num_classes(self) -> int:
        """The number of classes."""
        return len(self.classes)

    def to(self, device: torch.device) -> Dataset:
        """Return the data set with the batches of every split on ``device``."""
        train, val, test = (split.to(device) for split in (self.train, self.val, self.test))
        return replace(self, train=train, val=val, test=test)


def pixel_statistics(images: Tensor) -> Statistics:
    """Return per-channel mean and standard deviation, in 0..1, of uint8 ``(N, C, H, W)`` images.

    Computed from a histogram of the 256 values, so it is exact and needs no float copy.
    """
    return statistics_of(histogram(images))


def histogram(images: Tensor) -> Tensor:
    """Return how often each of the 256 values occurs, ``(N, C, H, W)`` uint8 -> ``(C, 256)``."""
    counts = torch.zeros(images.shape[1], 256, dtype=torch.float64)
    for row, channel in zip(counts, images.unbind(1), strict=True):
        for part in torch.split(channel, 10_000):  # bincount needs a flat copy, a small one
            row += torch.bincount(part.flatten().cpu(), minlength=256)
    return counts


def statistics_of(counts: Tensor) -> Statistics:
    """Return per-channel mean and standard deviation, in 0..1, of a ``histogram (C, 256)``."""
    values = torch.arange(256, dtype=torch.float64) / 255
    means, stds = [], []
    for row in counts:
        share = row / row.sum()
        mean = (share * values).sum()
        means.append(float(mean))
        stds.append(float((share * (values - mean) ** 2).sum().sqrt()))
    # A constant channel would be divided by zero.
    return tuple(means), tuple(max(std, 1e-3) for std in stds)


def split_train_val(
    count: int, val_fraction: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return shuffled ``(train, val)`` index tensors; the validation set has at least one image."""
    order = torch.randperm(count, generator=generator)
    cut = max(1, round(count * val_fraction))
    return order[cut:], order[:cut]
