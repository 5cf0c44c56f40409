"""The image files of a ``train/<class>/*`` and ``test/<class>/*`` folder, without opening them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from shiftbench.errors import ShiftbenchError, UsageError
from shiftbench.storage.walk import SUFFIXES, ImageFile, image_files, subfolders

_LAYOUT = "train/<class>/ and test/<class>/ (or val/<class>/) folders of images"
_NAMED = 5


@dataclass(frozen=True)
class Listing:
    """The files of one split.

    Attributes:
        files: Paths relative to the root, with forward slashes, class by class.
        stamps: Size, times and inode of each file; one of them differs once it is replaced.
        labels: ``(N,)`` int64.
    """

    files: tuple[str, ...]
    stamps: tuple[str, ...]
    labels: Tensor

    def __len__(self) -> int:
        return len(self.files)

    def select(self, index: Tensor) -> Listing:
        """Return the files at ``index`` ``(M,)``, in that order."""
        rows = index.tolist()
        files, stamps = (tuple(part[i] for i in rows) for part in (self.files, self.stamps))
        return Listing(files, stamps, self.labels[index])


@dataclass(frozen=True)
class FolderListing:
    """The files of a whole data set; ``val`` is None where it has no validation folder."""

    classes: tuple[str, ...]
    train: Listing
    val: Listing | None
    test: Listing


def list_folder(root: Path) -> FolderListing:
    """Return the files under ``root``; hidden files and other kinds of files are passed over.

    Raises:
        UsageError: If a folder or a class is missing, empty or not the same in every split.
        ShiftbenchError: If a folder cannot be read.
    """
    try:
        names = split_folders(root)
        folders = {name: subfolders(root / folder) for name, folder in names.items()}
        _require_same_classes(root, names, folders)
        classes = tuple(folders["train"])
        # The same class may be stored in another Unicode form in another split.
        listings = {
            name: list_split(root, names[name], (folders[name][one] for one in classes))
            for name in names
        }
    except OSError as error:
        raise ShiftbenchError(
            f"{error.filename} cannot be listed ({error.strerror}); check its permissions"
        ) from error
    _require_images(root, names, classes, listings)
    return FolderListing(classes, listings["train"], listings.get("val"), listings["test"])


def split_folders(root: Path) -> dict[str, str]:
    """Return the folder of each split; ``val`` stands in for a missing ``test``.

    Raises:
        UsageError: If there are no such folders.
    """
    if not root.is_dir():
        raise UsageError(f"data.root={root} is not a folder; give one that holds {_LAYOUT}")
    found = sorted(path.name for path in root.iterdir() if path.is_dir())
    if "train" in found and "test" in found:
        return {name: name for name in ("train", "val", "test") if name in found}
    if "train" in found and "val" in found:
        return {"train": "train", "test": "val"}
    missing = "test or val" if "train" in found else "train"
    raise UsageError(
        f"data.root={root} has no {missing} folder (it has {first_few(found) or 'none'}); "
        f"give one that holds {_LAYOUT}"
    )


def _require_same_classes(
    root: Path, names: dict[str, str], classes: dict[str, dict[str, str]]
) -> None:
    train = classes["train"]
    if len(train) < 2:
        raise UsageError(
            f"{root / 'train'} has {len(train)} class folder(s), at least 2 are needed; "
            f"give a data.root that holds {_LAYOUT}"
        )
    for name, other in classes.items():
        only = {"train": set(train) - set(other), names[name]: set(other) - set(train)}
        parts = [f"only in {where}: {first_few(sorted(what))}" for where, what in only.items()]
        if any(only.values()):
            differences = "; ".join(p for p, what in zip(parts, only.values(), strict=True) if what)
            raise UsageError(
                f"data.root={root} does not have the same class folders in train and "
                f"{names[name]} ({differences}); give every split the same ones"
            )


def list_split(root: Path, folder: str, classes: Iterable[str]) -> Listing:
    """Return the images of ``root/folder/<class>/``, a class's label being its place."""
    files: list[str] = []
    stamps: list[str] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        for file in image_files(root, name if folder in ("", ".") else f"{folder}/{name}"):
            files.append(file.path)
            stamps.append(_stamp(file))
            labels.append(label)
    return Listing(tuple(files), tuple(stamps), torch.tensor(labels, dtype=torch.int64))


def _stamp(file: ImageFile) -> str:
    if file.status is None:
        return "dangling link"
    # Archives and package managers set times of modification back to a constant; the time of
    # change (ctime) cannot be set, so a replaced file is noticed even if it has the same length.
    # Files that were written within one tick of the clock trade places with their folders, and
    # are told apart by their inodes.
    status = file.status
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"


def _require_images(
    root: Path, names: dict[str, str], classes: tuple[str, ...], listings: dict[str, Listing]
) -> None:
    empty = [
        f"{names[split]}/{classes[label]}"
        for split, listing in listings.items()
        for label in labels_without_images(listing.labels, len(classes))
    ]
    if empty:
        raise UsageError(
            f"data.root={root} has {len(empty)} class folder(s) without an image: "
            f"{first_few(empty)}; put images there ({', '.join(sorted(SUFFIXES))}) or remove "
            "the class from every split"
        )


def labels_without_images(labels: Tensor, num_classes: int) -> list[int]:
    """Return the labels below ``num_classes`` that do not occur in ``labels`` ``(N,)``."""
    return (torch.bincount(labels, minlength=num_classes) == 0).nonzero().flatten().tolist()


def first_few(names: list[str]) -> str:
    """Return at most five names, and how many more there are.

    >>> first_few(["a", "b"])
    'a, b'
    >>> first_few(list("abcdefg"))
    'a, b, c, d, e and 2 more'
    """
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
