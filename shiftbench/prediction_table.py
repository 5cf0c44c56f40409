"""The prediction table: a network's answers for images × shifts.

It separates prediction, which uses torch, from evaluation, which uses only numpy and pandas. Every
metric is a reduction of this table, so a new metric needs no forward pass, and a report no GPU.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
from numpy.typing import NDArray

from shiftbench.errors import ShiftbenchError
from shiftbench.storage import spilled
from shiftbench.storage.atomic import atomic_file

FORMAT = 1
PART = 2_000_000  # entries of a column in a part: about 56 MB of all columns
_PER_IMAGE = (
    "top1", "p_top1", "p_base", "p_previous", "p_true", "rank_true", "logit_change",
    "logit_scale", "labels",
)  # fmt: skip
_ARRAYS = (*_PER_IMAGE, "shifts", "sampled", "previous")


@dataclass(frozen=True, eq=False)
class PredictionTable:
    """The answers of a network for N images under K shifts; column 0 is the base view.

    Attributes:
        top1: ``(N, K)`` int32, the predicted class; -1 for none, if a logit is NaN or all are −inf.
        p_top1: ``(N, K)`` float32, probability of that class.
        p_base: ``(N, K)`` float32, probability of the class predicted in column 0.
        p_previous: ``(N, K)`` float32, probability of the class predicted one step earlier on
            the protocol's path (column ``previous[k]``); NaN if there is no earlier step.
        p_true: ``(N, K)`` float32, probability of the true class.
        rank_true: ``(N, K)`` int32, rank of the true class; 0 if it is the predicted one.
        logit_change: ``(N, K)`` float32, largest absolute logit difference from column 0.
        logit_scale: ``(N,)`` float32, spread of the logits of column 0, see
            :func:`shiftbench.predict.logits.scale`.
        labels: ``(N,)`` int32, the true class.
        shifts: ``(K, A)`` or, if every image has its own shifts, ``(N, K, A)`` float32; ``axes``
            names the A columns.
        sampled: ``(K,)`` bool, the columns that form the set of shifts S. The base column belongs
            to S only if S was enumerated and contains it; columns that exist only as the end of a
            one-pixel step do not.
        previous: ``(K,)`` int32, the column one step earlier on the path, -1 for none.
        images: ``(N,)`` uint64, a digest of each image and its label, so that tables can be paired
            by image; None in tables of shiftbench 0.1.0.
        axes: Names of the shift parameters, for example ``("dy", "dx")``, in pixels.
        meta: The protocol, the engine and everything else that defines the measurement.
    """

    top1: NDArray[np.int32]
    p_top1: NDArray[np.float32]
    p_base: NDArray[np.float32]
    p_previous: NDArray[np.float32]
    p_true: NDArray[np.float32]
    rank_true: NDArray[np.int32]
    logit_change: NDArray[np.float32]
    logit_scale: NDArray[np.float32]
    labels: NDArray[np.int32]
    shifts: NDArray[np.float32]
    sampled: NDArray[np.bool_]
    previous: NDArray[np.int32]
    images: NDArray[np.uint64] | None = None
    axes: tuple[str, ...] = ("dy", "dx")
    meta: dict[str, Any] = field(default_factory=dict)

    @property
    def n_images(self) -> int:
        """The number of images N."""
        return int(self.top1.shape[0])

    @property
    def n_shifts(self) -> int:
        """The number of shifts in the set S (per image)."""
        return int(self.sampled.sum())

    @property
    def num_classes(self) -> int:
        """The number of classes of the network."""
        return int(self.meta["num_classes"])

    @property
    def is_spilled(self) -> bool:
        """Whether columns are too large for memory, so that they are in a file."""
        return spilled.is_spilled(self.top1)

    def parts(self) -> Iterator[PredictionTable]:
        """Yield the table in parts of consecutive images; one in memory is a single part.

        The memory of a part is released before the next one is read.
        """
        if not self.is_spilled:
            yield self
            return
        per_image = (*_PER_IMAGE, *(["shifts"] if self.shifts.ndim == 3 else []))
        rows = max(1, PART // self.top1.shape[1])
        for start in range(0, self.n_images, rows):
            own = slice(start, start + rows)
            arrays: dict[str, Any] = {name: getattr(self, name)[own] for name in per_image}
            images = None if self.images is None else self.images[own]
            yield replace(self, **arrays, images=images)
            self.release()

    def release(self) -> None:
        """Drop columns that are in a file from memory; they are read again when needed."""
        spilled.release(*(getattr(self, name) for name in _ARRAYS))

    @classmethod
    def joined(cls, parts: Sequence[PredictionTable]) -> PredictionTable:
        """Return the concatenation, over images, of tables with the same columns."""
        first = parts[0]
        if len(parts) == 1:
            return replace(first, meta=dict(first.meta))
        names = [*_PER_IMAGE, *(["shifts"] if first.shifts.ndim == 3 else [])]
        names += ["images"] if first.images is not None else []
        arrays: dict[str, Any] = {
            name: spilled.concatenated([getattr(part, name) for part in parts]) for name in names
        }
        meta = dict(first.meta)
        if failed := sum(part.meta.get("nan_views", 0) for part in parts):
            meta["nan_views"] = failed
        return replace(first, **arrays, meta=meta)

    def save(self, path: Path) -> None:
        """Write the table to ``path`` (npz) atomically, a part of a column at a time."""
        header = {"format": FORMAT, "axes": list(self.axes), "meta": self.meta}
        arrays = {"header": np.array(json.dumps(header, sort_keys=True))}
        arrays |= {name: getattr(self, name) for name in _ARRAYS}
        if self.images is not None:
            arrays["images"] = self.images
        with atomic_file(path, "wb") as file, ZipFile(file, "w", ZIP_DEFLATED) as archive:
            for name, array in arrays.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    _write(member, array)

    @classmethod
    def load(cls, path: Path) -> PredictionTable:
        """Read a table, without unpickling.

        Raises:
            ShiftbenchError: If the file is not a prediction table of this format.
        """
        try:
            # Opened here, as np.load does not close a file that is not an archive.
            with Path(path).open("rb") as handle, np.load(handle, allow_pickle=False) as file:
                header = json.loads(str(file["header"]))
                version, axes, meta = header["format"], tuple(header["axes"]), header["meta"]
                names = _ARRAYS if version == FORMAT else ()
                arrays: dict[str, Any] = {name: _read(file, name) for name in names}
                images = file["images"] if "images" in file.files else None
        except FileNotFoundError:
            raise ShiftbenchError(f"no prediction table at {path}") from None
        except Exception as error:
            raise ShiftbenchError(
                f"{path} is not a readable prediction table ({error}); delete it and run again"
            ) from error
        if version != FORMAT:
            raise ShiftbenchError(f"{path} has table format {version}, this version reads {FORMAT}")
        return cls(**arrays, images=images, axes=axes, meta=meta)


def _write(member: IO[bytes], array: NDArray[Any]) -> None:
    """Write an array in the format of ``.npy``, as ``np.save`` does."""
    if not spilled.is_spilled(array):
        np.lib.format.write_array(member, array, allow_pickle=False)
        return
    described = np.lib.format.header_data_from_array_1_0(array)
    np.lib.format.write_array_header_1_0(member, described)
    rows = max(1, PART // math.prod(array.shape[1:]))
    for start in range(0, len(array), rows):
        member.write(array[start : start + rows].tobytes())
        spilled.release(array)


def _read(file: np.lib.npyio.NpzFile, name: str) -> NDArray[Any]:
    """Return an array of an archive, in a file of its own if it is too large for memory.

    Raises:
        ValueError: If the archive ends before the array does.
    """
    with file.zip.open(f"{name}.npy") as member:  # type: ignore[union-attr]
        version = np.lib.format.read_magic(member)
        if version != (1, 0):
            return file[name]
        shape, is_fortran, kind = np.lib.format.read_array_header_1_0(member)
        if is_fortran or kind.hasobject or math.prod(shape) * kind.itemsize < spilled.LARGE:
            return file[name]
        array = spilled.empty(shape, kind)
        rows = max(1, PART // math.prod(shape[1:]))
        for start in range(0, shape[0], rows):
            part = array[start : start + rows]
            content = member.read(part.nbytes)
            part[...] = np.frombuffer(content, kind).reshape(part.shape)
            spilled.release(array)
        member.read(1)  # the end of the file is where its checksum is compared
        return array
