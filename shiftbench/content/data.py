"""Digests of data sets by the content of their images, not by their paths; without torch."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from shiftbench.content.digests import FileEntry, file_digest, list_digest, remembered, stamp_of
from shiftbench.storage.cache import cache_dir
from shiftbench.storage.walk import image_files, subfolders

IDX_FILES = tuple(
    f"{part}-{kind}"
    for part in ("train", "t10k")
    for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")
)
DEBIAN_FASHION = Path("/usr/share/datasets/fashion-mnist")


def training_images(root: Path | None) -> str | None:
    """Return the digest of a folder's training and validation images.

    Raises:
        OSError: If a folder or file cannot be read.
    """
    return _of_splits(root, "training")


def test_images(root: Path | None) -> str | None:
    """Return the digest of a folder's test images.

    Raises:
        OSError: If a folder or file cannot be read.
    """
    return _of_splits(root, "test")


def _of_splits(root: Path | None, part: str) -> str | None:
    if root is None or not root.is_dir():
        return None  # an error when it is loaded
    there = [name for name in ("train", "val", "test") if (root / name).is_dir()]
    tested = there[-1:]  # val, without a test folder
    names = tested if part == "test" else [name for name in there if name not in tested]
    return list_digest(root, part, list(_classes(root, [root / name for name in names])))


def photographs_content(root: Path | None) -> str | None:
    """Return the digest of ``<wnid>/*``, or of ``val/<wnid>/*`` if there is such a folder.

    Raises:
        OSError: If a folder or file cannot be read.
    """
    if root is None or not root.is_dir():
        return None
    folder = root / "val" if (root / "val").is_dir() else root
    return list_digest(folder, "photographs", list(_classes(folder, [folder])))


def _classes(root: Path, splits: Iterable[Path]) -> Iterator[FileEntry]:
    for split in splits:
        for name in subfolders(split).values():
            place = (split / name).relative_to(root).as_posix()
            for file in image_files(root, place):
                if file.status is not None:
                    yield FileEntry(file.name, f"{root}/{file.path}", stamp_of(file.status))


def idx_content(folder: str, system: Path | None = None) -> Callable[[Path | None], str | None]:
    """Return the function that digests the four idx files of MNIST or Fashion-MNIST.

    Their archives may be recompressed, so the uncompressed content is digested instead of comparing
    published checksums.

    Args:
        folder: Torchvision's folder of the files, below the root.
        system: Folder of a system package with the files, used if no root is given.
    """

    def content(root: Path | None) -> str | None:
        places = [(cache_dir() if root is None else root) / folder / "raw"]
        if root is None and system is not None:
            places.insert(0, system)
        for place in places:
            files = [_plain_or_gz(place / name) for name in IDX_FILES]
            found = [file for file in files if file is not None]
            if len(found) == len(files):
                return hashlib.sha256(" ".join(map(_unpacked, found)).encode()).hexdigest()
        return None

    return content


def _plain_or_gz(path: Path) -> Path | None:
    both = (path.with_name(f"{path.name}.gz"), path)
    return next((file for file in both if file.is_file()), None)


def _unpacked(path: Path) -> str:
    """Return the digest of a file, for ``.gz`` that of its uncompressed content."""
    if path.suffix != ".gz":
        return file_digest(path)

    def unpack() -> str:
        digest = hashlib.sha256()
        try:
            with gzip.open(path) as file:
                while part := file.read(1 << 20):
                    digest.update(part)
        except (EOFError, zlib.error) as error:
            raise OSError(0, str(error), str(path)) from error
        return digest.hexdigest()

    return remembered(path, "unpacked", unpack)


_CONTENT: dict[str, Callable[[Path | None], str | None]] = {
    "folder.load": training_images,
    "imagenet.load": photographs_content,
    "mnist.load": idx_content("MNIST"),
    "fashion_mnist.load": idx_content("FashionMNIST", DEBIAN_FASHION),
    "rotated_mnist.load": idx_content("MNIST"),
    "rotated_fashion_mnist.load": idx_content("FashionMNIST", DEBIAN_FASHION),
    "mnist_scale.load": idx_content("MNIST"),
}
# Files that are read only if their MD5 is the published one.
_VERIFIED = ("cifar10.load", "cifar100.load")
# Digests of the published idx files, which a run may download after its id is computed.
_MNIST = "35b4ae54c9e51524e6ee0ca4bc2f8e434b97ffde5dd5af15c3f02b75b02244e2"
_FASHION = "4003b6073642a2fe97e91097e4c810dd52bcf2f25a3b8590d3d134ac25e608ae"
_PUBLISHED = {
    "mnist.load": _MNIST,
    "fashion_mnist.load": _FASHION,
    "rotated_mnist.load": _MNIST,
    "rotated_fashion_mnist.load": _FASHION,
    "mnist_scale.load": _MNIST,
}


def is_official(target: str, root: Path | None) -> bool:
    """Return whether a shipped data set's name determines its content, in any folder.

    Args:
        target: The ``_target_`` of the option's yaml, ``shiftbench.data.mnist.load``.
        root: Its folder, None for the default one.

    Raises:
        OSError: If files exist and cannot be read.
    """
    name = _option(target)
    if name in _VERIFIED:
        return True
    return name in _PUBLISHED and data_content(target, root) in (None, _PUBLISHED[name])


def data_content(target: str, root: Path | None) -> str | None:
    """Return the digest of a shipped data set's images, None without any.

    Separate test images are left out; see :func:`test_content`.

    Raises:
        OSError: If they cannot be read.
    """
    content = _CONTENT.get(_option(target))
    return None if content is None else content(root)


def test_content(target: str, root: Path | None) -> str | None:
    """Return the digest of a data set's test images if they are separate, else None.

    Raises:
        OSError: If they cannot be read.
    """
    return test_images(root) if _option(target) == "folder.load" else None


def _option(target: str) -> str:
    """Return ``folder.load`` of ``shiftbench.data.folder.load``, "" for a user's data set."""
    return ".".join(target.split(".")[-2:]) if target.startswith("shiftbench.") else ""
