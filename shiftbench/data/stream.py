"""A split too large for memory: images are decoded from their files batch by batch."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from shiftbench.data.decode import UnreadableImage, decode_image
from shiftbench.data.images import Split
from shiftbench.errors import ShiftbenchError

_CPU = torch.device("cpu")

AHEAD = 1  # batches decoded ahead while the current one is used

# Unreadable images: position in the split and reason.
Failure = tuple[int, str]


@dataclass(frozen=True)
class StreamSplit(Split):
    """A split that is decoded, in threads, each time it is read.

    Attributes:
        root: Folder that ``files`` are relative to.
        files: Path of each image.
        labels: ``(N,)`` int64.
        size: Height and width of every image in pixels.
        channels: 3 for RGB, 1 for grey.
        workers: Number of decoding threads; 0 decodes in the reading thread.
        device: Device of the batches.
        short_side: Short side before the centre crop, in pixels; None is ``size``.
        interpolation: Filter of the resize to it.
        squash: Whether both sides are resized to it, without keeping the aspect ratio.
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
                    f"{self.root / self.files[position]} cannot be read ({reason}); repair or "
                    "delete it, or leave such images out with data.skip_unreadable=true"
                )
            labels = self.labels[index.to(self.labels.device)]
            yield images.to(self.device, non_blocking=True), labels

    def decoded(
        self, batch_size: int, order: Tensor | None = None
    ) -> Iterator[tuple[Tensor, Tensor, list[Failure]]]:
        """Yield ``(index, images, failures)`` on the CPU; failed images are left black."""
        order = torch.arange(len(self)) if order is None else order.cpu()
        with decoding_threads(self.usable_workers()) as decoders:
            waiting: deque[_Batch] = deque()
            for index in torch.split(order, batch_size):
                waiting.append(_Batch(self, index, decoders))
                if len(waiting) > AHEAD:
                    yield waiting.popleft().finished()
            while waiting:
                yield waiting.popleft().finished()

    def usable_workers(self) -> int:
        """Return the number of decoding threads that this process may start."""
        # A parallel job already has its share of the cores.
        alone = multiprocessing.parent_process() is None
        return self.workers if alone else min(self.workers, torch.get_num_threads())

    def select(self, index: Tensor) -> StreamSplit:
        """Return the split of the images at ``index`` ``(M,)``, in that order."""
        files = tuple(self.files[i] for i in index.tolist())
        return replace(self, files=files, labels=self.labels[index.to(self.labels.device)])

    def to(self, device: torch.device) -> StreamSplit:
        """Return the split with its batches on ``device``."""
        return replace(self, labels=self.labels.to(device), device=device)


class _Batch:
    """A batch whose images are being decoded.

    Threads are sufficient, since Pillow decodes and resizes without Python's global lock. Processes
    would pass the pixels through shared memory, which a container may lack, and a killed one would
    leave its parent waiting.
    """

    def __init__(self, split: StreamSplit, index: Tensor, decoders: Executor | None) -> None:
        self.index = index
        shape = (len(index), split.channels, split.size, split.size)
        pinned = split.device.type == "cuda"
        self.images = torch.zeros(shape, dtype=torch.uint8, pin_memory=pinned)
        pixels = self.images.numpy()

        def decode(row: int, position: int) -> Failure | None:
            form = (
                split.size, split.channels, split.short_side, split.interpolation, split.squash,
            )  # fmt: skip
            try:
                pixels[row] = decode_image(split.root / split.files[position], *form)
            except UnreadableImage as error:
                return position, str(error)
            return None

        tasks = [partial(decode, row, place) for row, place in enumerate(index.tolist())]
        self.results = [
            task if decoders is None else decoders.submit(task).result for task in tasks
        ]

    def finished(self) -> tuple[Tensor, Tensor, list[Failure]]:
        """Return ``(index, images, failures)`` once every image is decoded."""
        found = [result() for result in self.results]
        return self.index, self.images, [failure for failure in found if failure is not None]


@contextmanager
def decoding_threads(workers: int) -> Iterator[Executor | None]:
    """Provide decoding threads, None for none; they end even if the reader stops early."""
    if workers < 1:
        yield None
        return
    threads = ThreadPoolExecutor(workers, thread_name_prefix="decode")
    try:
        yield threads
    finally:
        threads.shutdown(cancel_futures=True)


def available_cpus() -> int:
    """Return the number of CPUs that this process may use."""
    linux = sys.platform == "linux"
    return len(os.sched_getaffinity(0)) if linux else os.cpu_count() or 1
