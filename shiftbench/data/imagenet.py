"""ImageNet photographs for testing, ``<wnid>/*``, with the network's own preprocessing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from shiftbench.data.decoded import decode_once
from shiftbench.data.images import Dataset, Split, TensorSplit
from shiftbench.data.listing import Listing, first_few, list_split
from shiftbench.data.selection import Selection
from shiftbench.data.stream import StreamSplit, available_cpus
from shiftbench.data.windows import read_windows
from shiftbench.errors import ShiftbenchError, UsageError, require_within
from shiftbench.preprocessing import Preprocessing
from shiftbench.storage.walk import composed, subfolders

CLASSES = 1000
# The first and the last of the 1,000 classes of ILSVRC 2012; the network's index is their order.
FIRST, LAST = "n01440764", "n15075141"


def load(
    root: str | Path | None = None,
    classes: str | Path | None = None,
    name: str | None = None,
    split_seed: int = 0,
    limit_test: int | None = None,
    skip_unreadable: bool = False,
    workers: int | None = None,
    memory_limit_gb: float = 4.0,
) -> Photographs:
    """Return the photographs under ``root``, not yet decoded: the network determines how.

    Args:
        root: Folder that holds ``<wnid>/*`` or ``val/<wnid>/*``.
        classes: Text file of the wnids in the order of the network's classes, one per line;
            None if the folder has all 1,000 of ILSVRC 2012.
        name: Name in tables; None is ``imagenet``.
        split_seed: Seed of the limit.
        limit_test: Maximum number of images, drawn irrespective of class; None for all.
        skip_unreadable: Leave unreadable images out, with a warning, instead of refusing them.
        workers: Decoding threads; 0 decodes in the main thread, None uses one per CPU.
        memory_limit_gb: With more gigabytes of pixels, batches are decoded when they are read.

    Raises:
        UsageError: If a value is out of its range or the folder is not laid out as above.
    """
    if root is None:
        raise UsageError("data=imagenet needs a folder of <wnid>/*.JPEG; add data.root=PATH")
    if workers is not None:
        require_within("data.workers", workers, 0, 1024)
    require_within("data.memory_limit_gb", memory_limit_gb, 0, 1_000_000)
    folder = _folder(Path(root).expanduser())
    present = subfolders(folder)
    wnids = _in_order(folder, tuple(present), classes)
    choice = Selection(split_seed=split_seed, limit_test=limit_test)
    return Photographs(
        name or "imagenet", wnids, _listed(folder, present, wnids, choice), folder,
        skip_unreadable, available_cpus() if workers is None else workers, memory_limit_gb * 1e9,
    )  # fmt: skip


def _folder(root: Path) -> Path:
    if not root.is_dir():
        raise UsageError(f"data.root={root} is not a folder; give one that holds <wnid>/*.JPEG")
    return root / "val" if (root / "val").is_dir() else root


def _in_order(folder: Path, present: tuple[str, ...], file: str | Path | None) -> tuple[str, ...]:
    """Return the wnids of all classes in the network's order."""
    if file is None:
        if len(present) == CLASSES and (present[0], present[-1]) == (FIRST, LAST):
            return present
        raise UsageError(
            f"{folder} has {len(present)} class folders, not the 1,000 of ILSVRC 2012, so their "
            "positions among the network's classes are unknown; give data.classes=PATH, a text "
            "file of all wnids in that order, one per line"
        )
    path = Path(file).expanduser()
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"data.classes={path} cannot be read ({error}); give a text file of wnids, one per line"
        ) from error
    wnids = tuple(composed(line.split()[0]) for line in lines if line.strip())
    strange = sorted(set(present) - set(wnids))
    if strange or len(set(wnids)) < max(2, len(wnids)):
        raise UsageError(
            f"data.classes={path} does not name every class folder of {folder} once (not there: "
            f"{first_few(strange) or 'none'}); give all wnids in the order of the network's classes"
        )
    return wnids


def _listed(
    folder: Path, present: Mapping[str, str], wnids: tuple[str, ...], choice: Selection
) -> Listing:
    try:
        found = list_split(folder, ".", present.values())
    except OSError as error:
        raise ShiftbenchError(
            f"{error.filename} cannot be listed ({error.strerror}); check its permissions"
        ) from error
    if not len(found):
        raise UsageError(f"{folder} has no image; give a data.root that holds <wnid>/*.JPEG")
    place = torch.tensor([wnids.index(wnid) for wnid in present])
    every = Listing(found.files, found.stamps, place[found.labels])
    return every.select(choice.test_subset(len(every)))


@dataclass(frozen=True)
class Photographs:
    """Photographs of any size; :meth:`for_network` makes a data set of them.

    Attributes:
        name: Short name for tables.
        classes: The wnids, in label order.
        listing: The files.
        root: Folder to which their paths are relative.
        skip_unreadable: Whether unreadable ones are left out.
        workers: Decoding threads.
        memory_limit: With more bytes of pixels, batches are decoded when they are read.
    """

    name: str
    classes: tuple[str, ...]
    listing: Listing
    root: Path
    skip_unreadable: bool
    workers: int
    memory_limit: float

    def for_network(self, recipe: Preprocessing) -> Dataset:
        """Return the photographs with a network's preprocessing, as a test-only data set.

        Raises:
            UsageError: If the preprocessing is unknown.
            ShiftbenchError: If images cannot be read.
        """
        recipe = recipe.completed()
        size, mean, std = recipe.size, recipe.mean, recipe.std
        assert size is not None
        assert mean is not None
        assert std is not None
        if len(mean) != 3 or len(std) != 3:
            raise UsageError(
                "photographs have 3 channels; give model.preprocessing.mean and .std 3 numbers each"
            )
        none = TensorSplit(
            torch.empty(0, 3, size, size, dtype=torch.uint8), torch.empty(0, dtype=torch.int64)
        )
        test = Frames.of(self, recipe)
        return Dataset(self.name, self.classes, (3, size, size), mean, std, none, none, test)

    def stream(self, short_side: int, size: int, recipe: Preprocessing) -> StreamSplit:
        """Return the centre crops ``(N, 3, size, size)``, not yet decoded."""
        return StreamSplit(
            self.root, self.listing.files, self.listing.labels, size, 3, self.workers,
            short_side=short_side, interpolation=str(recipe.interpolation),
            squash=recipe.crop == "squash",
        )  # fmt: skip

    def decoded(self, short_side: int, size: int, recipe: Preprocessing) -> tuple[Split, Listing]:
        """Return the centre crops ``(N, 3, size, size)`` and their indices."""
        stream = self.stream(short_side, size, recipe)
        in_memory = len(stream) * 3 * size**2 <= self.memory_limit
        if not in_memory and not self.skip_unreadable:
            return stream, self.listing
        found = decode_once(stream, self.listing, in_memory, self.skip_unreadable)
        failed = [position for position, _ in found.failures]
        kept = torch.ones(len(stream), dtype=torch.bool)
        kept[failed] = False
        index = kept.nonzero().flatten()
        if failed and (not self.skip_unreadable or not len(index)):
            named = first_few([f"{stream.files[i]} ({why})" for i, why in found.failures])
            raise ShiftbenchError(
                f"{len(failed)} of {len(stream)} images in {self.root} cannot be read: {named}; "
                "repair or delete them, or leave them out with data.skip_unreadable=true"
            )
        listing = self.listing.select(index)
        if found.images is None:
            return stream.select(index), listing
        return TensorSplit(found.images[index], listing.labels), listing


@dataclass(frozen=True)
class Frames(Split):
    """The photographs at the network's input size; larger views are decoded again from the files.

    Attributes:
        source: The photographs that could be read.
        recipe: How they are resized.
        shown: The images at the network's input size.
        labels: ``(N,)`` int64.
        device: Device of the batches.
    """

    source: Photographs
    recipe: Preprocessing
    shown: Split
    labels: Tensor
    device: torch.device

    @classmethod
    def of(cls, source: Photographs, recipe: Preprocessing) -> Frames:
        """Return the photographs preprocessed by ``recipe``, decoded once, on the CPU."""
        assert recipe.size is not None
        assert recipe.resize is not None
        shown, listing = source.decoded(recipe.resize, recipe.size, recipe)
        origin = replace(source, listing=listing)
        return cls(origin, recipe, shown, shown.labels, torch.device("cpu"))

    def batches(
        self, batch_size: int, order: Tensor | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield ``(images, labels)`` batches; the last one may be smaller."""
        return self.shown.batches(batch_size, order)

    def to(self, device: torch.device) -> Frames:
        """Return the split with its batches on ``device``."""
        shown = self.shown.to(device)
        return replace(self, shown=shown, labels=shown.labels, device=device)

    def enlarged(self, size: tuple[int, int]) -> Split:
        """Return the whole centre squares of the photographs, ``(N, 3, *size)``."""
        side = min(size)
        whole, _ = self.source.decoded(side, side, self.recipe)
        return whole.to(self.device)

    @property
    def shown_share(self) -> float:
        """Side of what the network is shown, as a share of the whole central square."""
        assert self.recipe.size is not None
        assert self.recipe.resize is not None
        return self.recipe.size / self.recipe.resize

    def windows(self, index: Tensor, boxes: Tensor, size: tuple[int, int]) -> Tensor:
        """Return windows of the photographs at ``index``, each resized once from its file.

        See :class:`~shiftbench.data.images.WindowedSplit`.
        """
        files = self.source.stream(size[0], size[0], self.recipe)
        return read_windows(files, index, boxes, size).to(self.device)
