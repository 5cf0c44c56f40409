"""The contract of a data set: three splits of uint8 images that yield batches.

Shapes: images ``(N, C, H, W)`` uint8 in 0..255, labels ``(N,)`` int64 in 0..num_classes-1.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from shiftbench.contracts import own_names, refuse_misspelt
from shiftbench.preprocessing import Preprocessing


class Split(ABC):
    """Images that are read in batches; small sets are kept in memory, large ones are streamed.

    Attributes:
        labels: ``(N,)`` int64.

    Raises:
        UsageError: When a subclass is declared with a misspelt attribute.
    """

    labels: Tensor

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        refuse_misspelt(cls, Split, own_names(cls))

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    @abstractmethod
    def batches(
        self, batch_size: int, order: Tensor | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield ``(images, labels)`` batches, in ``order`` or in stored order.

        Args:
            batch_size: Images of a batch; the last one may be smaller.
            order: ``(M,)`` positions; None is all of them.
        """

    @abstractmethod
    def to(self, device: torch.device) -> Split:
        """Return the split with its batches on ``device``."""


@runtime_checkable
class EnlargeableSplit(Protocol):
    """Images that can be decoded at any size, such as photographs.

    Shift protocols with windows of a larger image, or with a smaller one on a canvas, use these
    sizes; images of other splits are resized.
    """

    def enlarged(self, size: tuple[int, int]) -> Split:
        """Return the same images at ``size``, ``(N, C, *size)``, in the same order and device."""
        ...


@runtime_checkable
class WindowedSplit(Protocol):
    """Photographs of which any window can be resized directly from the decoded file."""

    @property
    def shown_share(self) -> float:
        """Side of what the network is shown, as a share of the whole central square."""
        ...

    def windows(self, index: Tensor, boxes: Tensor, size: tuple[int, int]) -> Tensor:
        """Return windows of the images at ``index (N,)``, ``(N, C, *size)`` uint8.

        Args:
            index: Positions in the split; one may occur several times.
            boxes: ``(N, 4)`` top, left, height and width, in 0..1 of the whole central square.
            size: ``(h, w)`` of the result.
        """
        ...


@runtime_checkable
class RenderableSplit(Protocol):
    """Scenes that can be rendered again after the camera has moved, as those of ``data=shapes``."""

    def render(self, offset: Tensor, index: Tensor | None = None) -> Tensor:
        """Return the scenes at ``index`` moved by ``offset (N, 2)`` px, ``(N, C, H, W)`` uint8."""
        ...


Statistics = tuple[tuple[float, ...], tuple[float, ...]]
"""Per-channel mean and standard deviation of pixels, in 0..1."""


@dataclass(frozen=True)
class TensorSplit(Split):
    """A split that is kept in memory, on the CPU or on the device.

    Attributes:
        images: ``(N, C, H, W)`` uint8.
        labels: ``(N,)`` int64.
    """

    images: Tensor
    labels: Tensor

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

    The validation split is taken from the training images with a fixed seed; the test split is
    never used for selection.

    Attributes:
        name: Short name for tables and file names, without any path.
        classes: Names of the classes, in label order.
        image_shape: ``(C, H, W)`` of every image.
        mean: Per-channel mean of the training pixels, in 0..1, or that of the network's recipe.
        std: Per-channel standard deviation of the same, in 0..1.
        train: Empty, as is ``val``, for test-only data.
        preprocessing: The preprocessing for the network, as plain values; see
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


@runtime_checkable
class NetworkSizedData(Protocol):
    """Images for testing that have to know the network before they are decoded: photographs."""

    name: str

    def for_network(self, recipe: Preprocessing) -> Dataset:
        """Return the images as a network wants them, no training images among them."""
        ...


def pixel_statistics(images: Tensor) -> Statistics:
    """Return per-channel mean and standard deviation, in 0..1, of uint8 ``(N, C, H, W)`` images.

    Computed from a histogram of the 256 values, so it is exact and needs no float copy.
    """
    return statistics_of(histogram(images))


def histogram(images: Tensor) -> Tensor:
    """Return how often each of the 256 values occurs, ``(N, C, H, W)`` uint8 -> ``(C, 256)``."""
    counts = torch.zeros(images.shape[1], 256, dtype=torch.float64)
    for row, channel in zip(counts, images.unbind(1), strict=True):
        for part in torch.split(channel, 10_000):  # bincount needs a flat copy, which is small
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
    # Avoids a division by zero for a constant channel.
    return tuple(means), tuple(max(std, 1e-3) for std in stds)


def split_train_val(
    count: int, val_fraction: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return shuffled ``(train, val)`` index tensors; the validation set has at least one image."""
    order = torch.randperm(count, generator=generator)
    cut = max(1, round(count * val_fraction))
    return order[cut:], order[:cut]
