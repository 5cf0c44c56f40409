"""Decode the images of a folder once and keep the pixels in the cache."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL
import rich
import torch
from rich.progress import Progress
from torch import Tensor

from shiftbench.data.listing import Listing
from shiftbench.data.stream import Failure, StreamSplit
from shiftbench.storage.cache import Arrays, cache_dir, discard, read_arrays, write_arrays
from shiftbench.storage.locks import exclusive

log = logging.getLogger(__name__)

# Raise this when the same files would decode to other pixels, or the cache file changes.
_FORMAT = 2
# Small batches, so that the bar moves and little memory is needed beside the result.
_BATCH_BYTES = 4_000_000


@dataclass(frozen=True)
class Decoded:
    """What came of decoding a split.

    Attributes:
        images: ``(N, C, H, W)`` uint8 of all files, black where unreadable; None where only
            readability was checked.
        failures: Position and reason of every unreadable file, in order.
    """

    images: Tensor | None
    failures: tuple[Failure, ...]


def decode_once(
    split: StreamSplit, listing: Listing, keep_pixels: bool, skip_unreadable: bool
) -> Decoded:
    """Return the decoded split from the cache, or decode it and put it there.

    Args:
        split: The images to decode.
        listing: The same files with the stamps that tell whether one has changed.
        keep_pixels: False reads every file but keeps no pixels, to find the unreadable ones.
        skip_unreadable: Whether unreadable files will be left out. If not, they will be an
            error, and what was decoded is not kept: it may be the disk that was at fault.
    """
    path = cache_dir() / "folder" / f"{_key(split, listing, keep_pixels)}.npz"
    if found := _read(path, split, keep_pixels):
        return found
    with exclusive(path.with_name(".lock")):
        # Another process may have been here while this one waited.
        if found := _read(path, split, keep_pixels):
            return found
        decoded = _decode(split, keep_pixels)
        if skip_unreadable or not decoded.failures:
            write_arrays(path, _to_arrays(decoded))
        return decoded


def _key(split: StreamSplit, listing: Listing, keep_pixels: bool) -> str:
    # Another release of Pillow may bring another JPEG decoder, with slightly other pixels.
    form = f"{_FORMAT} pillow {PIL.__version__} {split.channels}x{split.size} {keep_pixels}"
    if split.short_side is not None:
        form += f" of {split.short_side} {split.interpolation}{' squashed' * split.squash}"
    lines = "\0".join((form, *listing.files, *listing.stamps))
    return hashlib.sha256(lines.encode(errors="surrogateescape")).hexdigest()[:32]


def _read(path: Path, split: StreamSplit, keep_pixels: bool) -> Decoded | None:
    arrays = read_arrays(path)
    if arrays is None:
        return None
    try:
        images = torch.from_numpy(arrays["images"]) if keep_pixels else None
        if images is not None and images.shape != _shape(split):
            raise ValueError(f"images of shape {tuple(images.shape)}, not {_shape(split)}")
        failures = zip(arrays["failed"].tolist(), arrays["reasons"].tolist(), strict=True)
        return Decoded(images, tuple(failures))
    except (KeyError, ValueError, TypeError) as error:
        discard(path, error)
        return None


def _to_arrays(decoded: Decoded) -> Arrays:
    arrays: Arrays = {
        "failed": np.array([position for position, _ in decoded.failures], dtype=np.int64),
        "reasons": np.array([reason for _, reason in decoded.failures], dtype=np.str_),
    }
    if decoded.images is not None:
        arrays["images"] = decoded.images.numpy()
    return arrays


def _shape(split: StreamSplit) -> tuple[int, int, int, int]:
    return len(split), split.channels, split.size, split.size


def _decode(split: StreamSplit, keep_pixels: bool) -> Decoded:
    log.info(
        "decoding %s images of %s at %d px (once; they are kept in the cache)",
        f"{len(split):,}", split.root, split.size,
    )  # fmt: skip
    image_bytes = split.channels * split.size**2
    batch_size = max(1, min(256, _BATCH_BYTES // image_bytes))
    images = torch.empty(_shape(split), dtype=torch.uint8) if keep_pixels else None
    failures: list[Failure] = []
    with _progress(len(split)) as advance:
        for index, batch, failed in split.decoded(batch_size):
            if images is not None:
                images[index] = batch
            failures += failed
            advance(len(index))
    return Decoded(images, tuple(failures))


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    console = rich.get_console()
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("decoding images", total=total)
        yield lambda count: progress.advance(task, count)
