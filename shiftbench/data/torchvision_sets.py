"""Common code of the four torchvision data sets: find, download, verify and read official files.

Files are stored in torchvision's layout (``cifar-10-batches-py``, ``MNIST/raw``), so a folder that
torchvision has filled can be given as ``data.root``.
"""

from __future__ import annotations

import http.client
import shutil
import socket
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torchvision.datasets import CIFAR10, MNIST
from torchvision.datasets.utils import check_integrity, extract_archive

from shiftbench.data.idx import read_idx
from shiftbench.data.images import Dataset, TensorSplit
from shiftbench.data.selection import Selection, select_dataset
from shiftbench.errors import ShiftbenchError
from shiftbench.storage.cache import cache_dir
from shiftbench.storage.locks import exclusive

# An unresponsive server must not delay a run by minutes; torchvision sets no timeout.
_TIMEOUT_SECONDS = 20.0
_IDX_PARTS = {"train": "train", "test": "t10k"}


@dataclass(frozen=True)
class Source:
    """An official data set and the source of its files.

    Attributes:
        name: The name of the data set in tables, as in ``data=NAME``.
        title: The name in messages.
        page: Address of the page that offers the files.
        kind: The torchvision class with the files and their checksums.
    """

    name: str
    title: str
    page: str
    kind: type[CIFAR10] | type[MNIST]


def load_cifar(source: Source, root: str | Path | None, choice: Selection) -> Dataset:
    """Return CIFAR-10 or CIFAR-100, images ``(N, 3, 32, 32)``, downloaded if necessary.

    Args:
        source: Which of the two.
        root: Folder that contains, or will contain, the files; None is the cache folder.
        choice: The selection of images.

    Raises:
        ShiftbenchError: If the files are missing and cannot be downloaded, or are damaged.
    """
    folder = _resolve(root)
    kind: type[CIFAR10] = source.kind
    if not _intact_cifar(kind, folder):
        with exclusive(folder / f".{kind.base_folder}.lock"):
            # Another process may have written the file while this one waited.
            if not _intact_cifar(kind, folder):
                _fetch_cifar(source, folder)
    train, test = (kind(folder, train=train) for train in (True, False))
    return select_dataset(
        source.name, tuple(train.classes), _cifar_split(train), _cifar_split(test), choice
    )


def _resolve(root: str | Path | None) -> Path:
    return cache_dir() if root is None else Path(root).expanduser()


def _intact_cifar(kind: type[CIFAR10], folder: Path) -> bool:
    files = [*kind.train_list, *kind.test_list, [kind.meta["filename"], kind.meta["md5"]]]
    missing = False
    for name, md5 in files:
        path = folder / kind.base_folder / name
        if not path.exists():
            missing = True
        elif not check_integrity(path, md5):
            raise _damaged(path, md5)
    return not missing


def _damaged(path: Path, md5: str) -> ShiftbenchError:
    return ShiftbenchError(
        f"{path} is damaged (its MD5 is not {md5}); delete it and run again to download it"
    )


def _fetch_cifar(source: Source, folder: Path) -> None:
    kind: type[CIFAR10] = source.kind
    archive = folder / kind.filename
    if archive.exists() and not check_integrity(archive, kind.tgz_md5):
        raise _damaged(archive, kind.tgz_md5)
    with _staging(source, folder, folder, kind.filename) as staging:
        if archive.exists():
            extract_archive(archive, staging)
        else:
            kind(staging, download=True)


def _cifar_split(data: CIFAR10) -> TensorSplit:
    # torchvision unpickles these batches. That is safe here, and only here, because it compares
    # their MD5 with the official one first, which fixes the content.
    images = torch.from_numpy(data.data).permute(0, 3, 1, 2).contiguous()
    return TensorSplit(images, torch.tensor(data.targets, dtype=torch.int64))


def load_mnist(
    source: Source,
    root: str | Path | None,
    choice: Selection,
    classes: tuple[str, ...],
    system: Path | None = None,
) -> Dataset:
    """Return MNIST or Fashion-MNIST, images ``(N, 1, 28, 28)``, downloaded if necessary.

    Args:
        source: Which of the two.
        root: Folder that contains, or will contain, the files; None is the cache folder.
        choice: The selection of images.
        classes: Names of the ten classes.
        system: Folder of a system package with the files; tried if ``root`` is None.

    Raises:
        ShiftbenchError: If the files are missing and cannot be downloaded, or are damaged.
    """
    train, test = read_mnist(source, root, system)
    return select_dataset(source.name, classes, train, test, choice)


def read_mnist(
    source: Source, root: str | Path | None, system: Path | None = None
) -> tuple[TensorSplit, TensorSplit]:
    """Return the official training and test images, as :func:`load_mnist` finds them.

    Raises:
        ShiftbenchError: If the files are missing and cannot be downloaded, or are damaged.
    """
    files = _idx_files(system) if root is None and system is not None else {}
    if not files:
        files = _own_idx_files(source, _resolve(root))
    train, test = (_read_idx_pair(*files[name]) for name in _IDX_PARTS)
    return train, test


def _own_idx_files(source: Source, folder: Path) -> dict[str, tuple[Path, Path]]:
    raw = folder / source.kind.__name__ / "raw"
    if files := _idx_files(raw):
        return files
    with exclusive(folder / f".{source.kind.__name__}.lock"):
        if not _idx_files(raw):
            _fetch_mnist(source, folder, raw)
    return _idx_files(raw)


def _idx_files(raw: Path) -> dict[str, tuple[Path, Path]]:
    """Return the image and the label file of each split, or nothing unless all four exist."""
    found: dict[str, tuple[Path, Path]] = {}
    for name, part in _IDX_PARTS.items():
        images = _plain_or_gz(raw / f"{part}-images-idx3-ubyte")
        labels = _plain_or_gz(raw / f"{part}-labels-idx1-ubyte")
        if images is None or labels is None:
            return {}
        found[name] = (images, labels)
    return found


def _plain_or_gz(path: Path) -> Path | None:
    # The compressed file first, since it has a checksum.
    both = (path.with_name(f"{path.name}.gz"), path)
    return next((file for file in both if file.is_file()), None)


def _fetch_mnist(source: Source, folder: Path, raw: Path) -> None:
    files = ", ".join(name for name, _ in source.kind.resources)
    with _staging(source, folder, raw, files) as staging:
        source.kind(staging, download=True)


def _read_idx_pair(image_file: Path, label_file: Path) -> TensorSplit:
    images, labels = read_idx(image_file), read_idx(label_file)
    if images.shape[1:] != (28, 28) or labels.shape != images.shape[:1]:
        raise ShiftbenchError(
            f"{image_file} and {label_file} hold arrays of shape {images.shape} and "
            f"{labels.shape}, not (N, 28, 28) and (N,); delete them and run again"
        )
    if labels.size and labels.max() > 9:
        raise ShiftbenchError(
            f"{label_file} holds label {labels.max()}, not 0 to 9; delete it and run again"
        )
    return TensorSplit(torch.from_numpy(images)[:, None], torch.from_numpy(labels).long())


@contextmanager
def _staging(source: Source, folder: Path, target: Path, files: str) -> Iterator[Path]:
    """Provide a download folder, whose folders are moved into ``folder`` after success.

    The next run therefore never finds an incomplete download.
    """
    errors = (OSError, RuntimeError, EOFError, http.client.HTTPException, tarfile.TarError)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".download-") as name:
            with _network_timeout(_TIMEOUT_SECONDS):
                yield Path(name)
            _move_folders(Path(name), folder)
    except errors as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ShiftbenchError(
            f"{source.title} is not in {target} and could not be downloaded ({reason}); put "
            f"{files} from {source.page} into {target}, or use your own images with "
            "data=folder data.root=PATH"
        ) from error


@contextmanager
def _network_timeout(seconds: float) -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _move_folders(source: Path, target: Path) -> None:
    # Folders only: a downloaded archive has been unpacked and is no longer needed.
    for path in source.glob("*/**/*"):
        if path.is_file():
            destination = target / path.relative_to(source)
            destination.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(path, destination)
