"""A split too large for memory: images are decoded from their files batch by batch."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from shiftbench.data.decode import UnreadableImage, decode_image
from shiftbench.errors import ShiftbenchError

_CPU = torch.device("cpu")

# What a worker could not read: position in the split and reason.
Failure = tuple[int, str]


@dataclass(frozen=True)
class StreamSplit:
    """A split that is decoded anew each time it is read, in worker processes.

    Attributes:
        root: Folder that ``files`` are relative to.
        files: Path of each image.
        labels: ``(N,)`` int64.
        size: Height and width of every image in pixels.
        channels: 3 for RGB, 1 for grey.
        workers: Number of decoding processes; 0 decodes in this one.
        device: Where batches are put.
        short_side: Of the image from which the centre is cut, in pixels; None is ``size``.
        interpolation: How it is resized to that.
        squash: Whether both sides are, without regard to proportions.
    """

    root: Path
    files: tuple[str, ...] = field(repr=False)
    labels: Tensor
    size: int
    channels: int = 3
    workers: int = 0
    device: torch.device = _CPU
    short_side: int | None = None
    interpolation: str = "bilinear"
    squash: bool = False

    def __len__(self) -> int:
        return len(self.files)

    def batches(
        self, batch_size: int, order: Tensor | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield ``(images, labels)`` batches; the last one may be smaller.

        Raises:
            ShiftbenchError: If an image cannot be read.
        """
        for index, images, failures in self.decoded(batch_size, order):
            if failures:
                position, reason = failures[0]
                raise ShiftbenchError(
                    f"{self.root / self.files[position]} cannot be read ({reason}); mend or "
                    "delete it, or leave such images out with data.skip_unreadable=true"
                )
            labels = self.labels[index.to(self.labels.device)]
            yield images.to(self.device, non_blocking=True), labels

    def decoded(
        self, batch_size: int, order: Tensor | None = None
    ) -> Iterator[tuple[Tensor, Tensor, list[Failure]]]:
        """Yield ``(index, images, failures)`` on the CPU; failed images are left black."""
        order = torch.arange(len(self)) if order is None else order.cpu()
        chunks = [chunk.tolist() for chunk in torch.split(order, batch_size)]
        loader = DataLoader(
            _Batches(self),
            sampler=chunks,
            batch_size=None,
            collate_fn=_unchanged,
            num_workers=min(self._workers(), len(chunks)) if len(chunks) > 1 else 0,
            pin_memory=self.device.type == "cuda",
            # Without one of its own, every loader draws a seed from torch's global generator.
            generator=torch.Generator(),
        )
        for chunk, (images, failures) in zip(chunks, loader, strict=True):
            yield torch.tensor(chunk, dtype=torch.int64), images, failures

    def _workers(self) -> int:
        # A job beside others has its share of the cores already, and joblib's processes lack
        # what torch's workers are started with.
        return self.workers if multiprocessing.parent_process() is None else 0

    def select(self, index: Tensor) -> StreamSplit:
        """Return the split of the images at ``index`` ``(M,)``, in that order."""
        files = tuple(self.files[i] for i in index.tolist())
        return replace(self, files=files, labels=self.labels[index.to(self.labels.device)])

    def to(self, device: torch.device) -> StreamSplit:
        """Return the split with its batches on ``device``."""
        return replace(self, labels=self.labels.to(device), device=device)


class _Batches(TorchDataset[tuple[Tensor, list[Failure]]]):
    """Decodes whole batches; made for a loader that samples lists of indices."""

    def __init__(self, split: StreamSplit) -> None:
        self.root, self.files = split.root, split.files
        self.form = (
            split.size, split.channels, split.short_side, split.interpolation, split.squash,
        )  # fmt: skip

    def __getitem__(self, index: list[int]) -> tuple[Tensor, list[Failure]]:
        size, channels, *_ = self.form
        images = torch.zeros(len(index), channels, size, size, dtype=torch.uint8)
        pixels, failures = images.numpy(), []
        for row, position in enumerate(index):
            path = self.root / self.files[position]
            try:
                pixels[row] = decode_image(path, *self.form)
            except UnreadableImage as error:
                # Returned, not raised: a loader would bury the message in a worker's traceback.
                failures.append((position, str(error)))
        return images, failures


def _unchanged(batch: Any) -> Any:
    return batch


def available_cpus() -> int:
    """Return how many CPUs this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
