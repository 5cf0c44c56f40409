"""A folder of images, ``train/<class>/*`` and ``test/<class>/*``, as a data set."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass, replace
from pathlib import Path

import PIL
import torch
from torch import Tensor

from shiftbench.content.data import training_images
from shiftbench.data.decoded import decode_once
from shiftbench.data.images import Dataset, Statistics, TensorSplit, histogram, statistics_of
from shiftbench.data.listing import (
    FolderListing,
    Listing,
    first_few,
    labels_without_images,
    list_folder,
)
from shiftbench.data.selection import Selection, pick
from shiftbench.data.stream import StreamSplit, available_cpus
from shiftbench.errors import ShiftbenchError, UsageError, require_within
from shiftbench.seeds import derive_seed
from shiftbench.storage.cache import cache_dir, read_arrays, write_arrays

log = logging.getLogger(__name__)

AnySplit = TensorSplit | StreamSplit
# Path below the root and reason.
Unreadable = tuple[str, str]

_MOST_EXACT = 100_000
_STATISTICS_SAMPLE = 10_000
_LARGEST_SIDE = 4096


@dataclass(frozen=True)
class FolderDataset(Dataset):
    """A data set read from a folder.

    Attributes:
        skipped: Images left out because they could not be read, as paths below the root.
    """

    skipped: tuple[str, ...] = ()

    def to(self, device: torch.device) -> FolderDataset:
        """Return the data set with the batches of every split on ``device``."""
        train, val, test = (split.to(device) for split in (self.train, self.val, self.test))
        return replace(self, train=train, val=val, test=test)


def load(
    root: str | Path | None = None,
    size: int = 32,
    channels: int = 3,
    name: str | None = None,
    val_fraction: float = 0.1,
    split_seed: int = 0,
    limit_train: int | None = None,
    limit_test: int | None = None,
    skip_unreadable: bool = False,
    workers: int | None = None,
    memory_limit_gb: float = 4.0,
) -> FolderDataset:
    """Return the images under ``root``, ``(N, channels, size, size)`` uint8, decoded once.

    With a ``test`` and a ``val`` folder, ``val`` validates and nothing is cut from ``train``.

    Args:
        root: Folder that holds ``train/<class>/`` and ``test/<class>/`` (or ``val/<class>/``).
        size: Height and width; the short side is resized to it, then the centre is cut out.
        channels: 3 for RGB, 1 for grey.
        name: Name in tables; None is ``folder:`` and the last part of ``root``.
        val_fraction: Share of the training images kept for validation, between 0 and 1.
        split_seed: Seed of the validation split, of the limits and of the statistics' sample.
        limit_train: Use at most so many training images; None uses all.
        limit_test: Use at most so many test images; None uses all.
        skip_unreadable: Leave unreadable images out, with a warning, instead of refusing them.
        workers: Decoding processes; 0 decodes in this one, None takes one per CPU.
        memory_limit_gb: Above so many gigabytes of pixels, batches are decoded as they come.

    Raises:
        UsageError: If a value is out of its range or the folder is not laid out as above.
        ShiftbenchError: If images cannot be read.
    """
    _require_values(root, size, channels, workers, memory_limit_gb)
    folder = Path(str(root)).expanduser()
    workers = available_cpus() if workers is None else workers
    reader = _Reader(folder, size, channels, workers, skip_unreadable, memory_limit_gb * 1e9)
    choice = Selection(val_fraction, split_seed, limit_train, limit_test)
    return reader.dataset(name or f"folder:{folder.resolve().name}", choice)


def _require_values(
    root: str | Path | None, size: int, channels: int, workers: int | None, memory_limit_gb: float
) -> None:
    if root is None:
        raise UsageError(
            "data=folder needs a folder that holds train/<class>/ and test/<class>/ images; "
            "add data.root=PATH"
        )
    if channels not in (1, 3):
        raise UsageError(f"data.channels={channels} is not known; allowed: 3 (RGB), 1 (grey)")
    require_within("data.size", size, 1, _LARGEST_SIDE)
    if workers is not None:
        require_within("data.workers", workers, 0, 1024)
    require_within("data.memory_limit_gb", memory_limit_gb, 0, 1_000_000)


@dataclass(frozen=True)
class _Reader:
    """How the images of one folder are read."""

    root: Path
    size: int
    channels: int
    workers: int
    skip_unreadable: bool
    memory_limit: float

    def dataset(self, name: str, choice: Selection) -> FolderDataset:
        listing = list_folder(self.root)
        parts = _limited(listing, choice)
        splits, unreadable = self._read(parts)
        if unreadable:
            self._judge(unreadable, sum(map(len, parts.values())), listing.classes, splits)
        train = splits["train"]
        if "val" not in splits:
            train, splits["val"] = (_take(train, index) for index in choice.cut(len(train)))
        mean, std = _statistics(train, choice.split_seed, training_images(self.root))
        return FolderDataset(
            name=name,
            classes=listing.classes,
            image_shape=(self.channels, self.size, self.size),
            mean=mean,
            std=std,
            train=train,
            val=splits["val"],
            test=splits["test"],
            skipped=tuple(file for file, _ in unreadable),
        )

    def _read(self, parts: dict[str, Listing]) -> tuple[dict[str, AnySplit], list[Unreadable]]:
        pixels = sum(map(len, parts.values())) * self.channels * self.size**2
        splits: dict[str, AnySplit] = {}
        unreadable: list[Unreadable] = []
        for name, part in parts.items():
            splits[name], failed = self._read_part(part, pixels <= self.memory_limit)
            unreadable += failed
        return splits, unreadable

    def _read_part(self, part: Listing, in_memory: bool) -> tuple[AnySplit, list[Unreadable]]:
        stream = StreamSplit(
            self.root, part.files, part.labels, self.size, self.channels, self.workers
        )
        # Images that stream are looked at beforehand only to leave some out.
        if not in_memory and not self.skip_unreadable:
            return stream, []
        decoded = decode_once(stream, part, in_memory, self.skip_unreadable)
        split = stream if decoded.images is None else TensorSplit(decoded.images, part.labels)
        if not decoded.failures:
            return split, []
        readable = torch.ones(len(part), dtype=torch.bool)
        readable[[position for position, _ in decoded.failures]] = False
        failed = [(part.files[position], reason) for position, reason in decoded.failures]
        return _take(split, readable.nonzero().flatten()), failed

    def _judge(
        self,
        unreadable: list[Unreadable],
        total: int,
        classes: tuple[str, ...],
        splits: dict[str, AnySplit],
    ) -> None:
        named = first_few([f"{file} ({reason})" for file, reason in unreadable])
        found = f"{len(unreadable)} of {total} images in {self.root} cannot be read: {named}"
        if not self.skip_unreadable:
            raise ShiftbenchError(
                f"{found}; repair or delete them, or leave them out with data.skip_unreadable=true"
            )
        for name, split in splits.items():
            if empty := labels_without_images(split.labels, len(classes)):
                names = first_few([classes[label] for label in empty])
                raise ShiftbenchError(
                    f"{found}, which leaves no {name} image of {names}; repair them"
                )
        log.warning("%s; they are left out", found)


def _limited(listing: FolderListing, choice: Selection) -> dict[str, Listing]:
    parts = {"train": listing.train.select(choice.train_subset(len(listing.train)))}
    if listing.val is not None:
        parts["val"] = listing.val
    parts["test"] = listing.test.select(choice.test_subset(len(listing.test)))
    return parts


def _take(split: AnySplit, index: Tensor) -> AnySplit:
    return split.select(index) if isinstance(split, StreamSplit) else pick(split, index)


def _statistics(train: AnySplit, seed: int, content: str | None) -> Statistics:
    """Return mean and standard deviation of all pixels, of a sample where images are very many.

    Which of the two, and so every number that follows, depends on how many images there are, not
    on whether they fit into memory.

    Args:
        train: The training images.
        seed: Of the sample.
        content: Digest of the files, under which what took a pass over them is kept.
    """
    order = None
    if len(train) > _MOST_EXACT:
        generator = torch.Generator().manual_seed(derive_seed(seed, "data", "statistics"))
        order = torch.randperm(len(train), generator=generator)[:_STATISTICS_SAMPLE]
    if isinstance(train, TensorSplit):
        return statistics_of(_histogram(train, order))
    path = cache_dir() / "statistics" / f"{_statistics_key(train, order, content)}.npz"
    if (found := read_arrays(path)) is not None:
        return statistics_of(torch.from_numpy(found["counts"]))
    log.info("reading the training images once, for their mean and standard deviation")
    counts = _histogram(train, order)
    write_arrays(path, {"counts": counts.numpy()})
    return statistics_of(counts)


def _histogram(train: AnySplit, order: Tensor | None) -> Tensor:
    parts = (histogram(images) for images, _ in train.batches(256, order))
    return torch.stack(list(parts)).sum(0)


def _statistics_key(train: StreamSplit, order: Tensor | None, content: str | None) -> str:
    sample = None if order is None else order.tolist()
    form = (PIL.__version__, train.size, train.channels, train.files, sample, content)
    return hashlib.sha256(repr(form).encode()).hexdigest()[:32]
