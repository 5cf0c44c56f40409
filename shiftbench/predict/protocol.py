"""What the engines need of a shift protocol."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from shiftbench.data.images import Dataset, EnlargeableSplit, SeveralSizes, Split, of_sizes
from shiftbench.errors import UsageError
from shiftbench.model.evaluating import evaluating
from shiftbench.model.layout import home
from shiftbench.shift.plan import Plan


class ShiftProtocol(Protocol):
    """Which shifts, and how an image is shifted; see :mod:`shiftbench.shift`."""

    axes: tuple[str, ...]

    def plan(self, n_images: int, image_size: tuple[int, int]) -> Plan:
        """Return which shifts every image is shown."""
        ...

    def views(self, images: Tensor, shifts: Tensor, mean: Sequence[float] | None) -> Tensor:
        """Return image n moved by ``shifts[n]``."""
        ...


def describe(protocol: Any) -> dict[str, Any]:
    """Return a protocol's name and every field, for the table's meta."""
    return {"name": type(protocol).__name__.lower(), **dataclasses.asdict(protocol)}


@dataclass(frozen=True)
class Positions:
    """A split that hands out the positions of its images instead of their pixels.

    Attributes:
        labels: ``(N,)`` int64, of the images.
    """

    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def batches(
        self, batch_size: int, order: Tensor | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield ``(positions (n,), labels)``."""
        index = torch.arange(len(self)) if order is None else order
        for part in torch.split(index.to(self.labels.device), batch_size):
            yield part, self.labels[part]

    def to(self, device: torch.device) -> Positions:
        """Return the split on ``device``."""
        return Positions(self.labels.to(device))


@dataclass
class FromSplit:
    """A protocol that shows a split's images by their position, as ``camera`` does."""

    protocol: Any
    split: Split
    axes: tuple[str, ...]

    def plan(self, n_images: int, image_size: tuple[int, int]) -> Plan:
        """Return which shifts every image is shown."""
        plan: Plan = self.protocol.plan(n_images, image_size)
        return plan

    def views(self, images: Tensor, shifts: Tensor, mean: Sequence[float] | None) -> Tensor:
        """Return the image at position ``images[n]`` moved by ``shifts[n]``."""
        views: Tensor = self.protocol.views_of(self.split, images, shifts)
        return views


@dataclass
class FromFiles:
    """A protocol that shows photographs at sizes of its own, decoded from their files.

    ``crop`` shows windows of larger ones, ``embed`` and ``rescale`` reduced ones.
    """

    protocol: Any
    size: tuple[int, int]
    axes: tuple[str, ...]

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """``(H, W)`` of the photographs, each size once."""
        sizes: list[tuple[int, int]] = self.protocol.source_sizes(self.size)
        return sizes

    def plan(self, n_images: int, image_size: tuple[int, int]) -> Plan:
        """Return which shifts every image is shown; its meta says how large the images are."""
        plan: Plan = self.protocol.plan(n_images, image_size)
        sizes = [list(size) for size in self.sizes]
        key = "enlarged_from_files" if sizes[0][0] > image_size[0] else "reduced_from_files"
        meta = {**plan.meta, key: sizes if len(sizes) > 1 else sizes[0]}
        return dataclasses.replace(plan, meta=meta)

    def views(self, images: Tensor, shifts: Tensor, mean: Sequence[float] | None) -> Tensor:
        """Return photograph n, a row of :class:`SeveralSizes`, moved by ``shifts[n]``."""
        sources = of_sizes(images, self.sizes)
        views: Tensor = self.protocol.views_of_sources(sources, shifts, self.size, mean)
        return views


def source(protocol: ShiftProtocol, split: Split) -> tuple[ShiftProtocol, Split]:
    """Return the protocol and the split whose batches it is shown: pixels, or positions.

    Where the protocol shows images at other sizes and the split has files to decode, it gets those.

    Raises:
        UsageError: If the protocol cannot show this split.
    """
    _check(protocol, split)
    if hasattr(protocol, "views_of"):
        return FromSplit(protocol, split, protocol.axes), Positions(split.labels)
    if hasattr(protocol, "views_of_sources") and isinstance(split, EnlargeableSplit):
        images, _ = next(split.batches(1))
        shown = FromFiles(protocol, (images.shape[2], images.shape[3]), protocol.axes)
        return shown, SeveralSizes(tuple(split.enlarged(size) for size in shown.sizes))
    return protocol, split


def _check(protocol: ShiftProtocol, split: Split) -> None:
    """Let a protocol refuse a split that cannot serve."""
    check = getattr(protocol, "check", None)
    if check is not None:
        check(split)


def refuse(protocol: ShiftProtocol, data: Dataset, model: nn.Module | None = None) -> None:
    """Refuse a protocol that cannot be measured on ``data``, before any work is done.

    Args:
        protocol: What moves.
        data: Its test images are what moves.
        model: On the CPU; it is tried, without a trace, where views have another size than images.

    Raises:
        UsageError: Saying why.
    """
    channels, height, width = data.image_shape
    plan = protocol.plan(1, (height, width))
    _check(protocol, data.test)
    if model is None or hasattr(protocol, "views_of"):
        return
    blank = torch.zeros(1, channels, height, width)
    size = tuple(protocol.views(blank, plan.rows(0, 1)[:, 0], data.mean).shape[2:])
    if size != (height, width):
        _try(model, torch.zeros(2, channels, *size))


def _try(model: nn.Module, views: Tensor) -> None:
    try:
        with evaluating(model), torch.inference_mode():
            model(views.to(*home(model, views.device)))
    except (RuntimeError, ValueError) as error:
        height, width = views.shape[2:]
        raise UsageError(
            f"the network does not take views of {height}×{width} ({error}); "
            "set canvas=null, or give it a global head as head=gap"
        ) from error
