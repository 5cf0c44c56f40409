"""``images.npz``: the influence of each test image on each metric of a run; numpy only.

Prediction tables are large; this file has one number per image and metric. It is sufficient for
intervals over images of all quantities computed from metrics, and for pairing runs by image; the
prediction tables are not needed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
from numpy.typing import NDArray

from shiftbench.errors import ShiftbenchError
from shiftbench.metric import METRICS, Metric, Terms
from shiftbench.prediction_table import PredictionTable
from shiftbench.storage.atomic import atomic_file

NAME = "images.npz"
FORMAT = 1
LEVELS = 32_767  # quantisation levels on either side of 0
AGREE = 1e-6  # largest difference between a metric and the value in the file

Floats = NDArray[np.float64]


def influence(terms: Terms) -> Floats | None:
    """Return the jackknife influence of each image on the value, ``(N,)``.

    It is (N − 1)(mean of θ₋ₙ − θ₋ₙ), where θ₋ₙ is the value without image n (Efron, The jackknife,
    the bootstrap and other resampling plans, 1982, ch. 3). Its mean is 0, and its variance divided
    by N estimates the variance of the value. None if the value, or the value without one of the
    images, is undefined.

    >>> influence(Terms.mean(np.array([0.0, 1.0, 0.5]), n_shifts=1))
    array([-0.5,  0.5,  0. ])
    """
    left_out = terms.leave_one_out
    if not np.isfinite(left_out).all() or not np.isfinite(terms.value):
        return None
    found: Floats = (len(left_out) - 1) * (left_out.mean() - left_out)
    return found


@dataclass(frozen=True)
class Influences:
    """The content of an ``images.npz``.

    Attributes:
        images: By protocol, a digest of the ordered test images, '' if unknown.
        values: Values of the metrics by (protocol, metric).
        numbers: Influences ``(N,)`` by (protocol, metric), each with mean 0.
    """

    images: Mapping[str, str]
    values: Mapping[tuple[str, str], float]
    numbers: Mapping[tuple[str, str], Floats]

    def of(self, protocol: str, metric: str, value: float) -> Floats | None:
        """Return the influences on a metric, None if the file was written for another value."""
        known = self.values.get((protocol, metric))
        if known is None or not abs(known - value) <= AGREE:
            return None
        return self.numbers[protocol, metric]

    @classmethod
    def from_tables(
        cls, tables: Mapping[str, PredictionTable], metrics: Iterable[Metric] | None = None
    ) -> Influences:
        """Return the influences on every metric that applies, by the name of the protocol.

        Args:
            tables: Prediction tables by protocol.
            metrics: All of :data:`METRICS` by default.
        """
        chosen = list(METRICS.values() if metrics is None else metrics)
        images: dict[str, str] = {}
        values: dict[tuple[str, str], float] = {}
        numbers: dict[tuple[str, str], Floats] = {}
        for protocol, table in tables.items():
            images[protocol] = _digest(table)
            for metric in chosen:
                if not metric.applies(table):
                    continue
                terms = metric(table)
                found = influence(terms)
                if found is not None:
                    key = protocol, metric.name
                    values[key], numbers[key] = terms.value, found
        return cls(images, values, numbers)

    def save(self, path: Path) -> bool:
        """Write the file atomically; return whether its previous content was different."""
        content = self._content()
        if path.is_file() and path.read_bytes() == content:
            return False
        with atomic_file(path, "wb") as file:
            file.write(content)
        return True

    def _content(self) -> bytes:
        """Return the bytes of the file: 16 bits for each number, compressed."""
        listed: list[tuple[str, str, float, float]] = []
        arrays: dict[str, Any] = {}
        for (protocol, metric), found in self.numbers.items():
            step = float(np.abs(found).max(initial=0.0)) / LEVELS
            rounded = np.round(found / step) if step else np.zeros(len(found))
            arrays[f"{protocol}/{metric}"] = rounded.astype(np.int16)
            listed.append((protocol, metric, self.values[protocol, metric], step))
        header = {"format": FORMAT, "images": dict(self.images), "numbers": listed}
        file = BytesIO()
        np.savez_compressed(file, header=np.array(json.dumps(header)), **arrays)
        return file.getvalue()

    @classmethod
    def load(cls, path: Path, metrics: Collection[str] | None = None) -> Influences:
        """Read the file without unpickling.

        Args:
            path: Path of the file.
            metrics: Names of the metrics to read; all by default.

        Raises:
            ShiftbenchError: If it is not readable.
        """
        try:
            with ZipFile(path) as file:
                header = json.loads(str(_array(file.read("header.npy"))))
                if header["format"] != FORMAT:
                    raise ValueError(f"format {header['format']}, this version reads {FORMAT}")
                values, rounded, steps = {}, {}, {}
                for protocol, metric, value, step in header["numbers"]:
                    if metrics is None or metric in metrics:
                        rounded[protocol, metric] = _array(file.read(f"{protocol}/{metric}.npy"))
                        steps[protocol, metric] = float(step)
                        values[protocol, metric] = float(value)
        except Exception as error:
            raise ShiftbenchError(
                f"{path} is not readable ({error}); shiftbench report --remeasure writes it again "
                "from the run's prediction tables"
            ) from error
        return cls(dict(header["images"]), values, _Rounded(rounded, steps))


def _array(content: bytes) -> NDArray[Any]:
    """Return an array from the bytes of a ``.npy`` file.

    numpy parses the header as a Python literal, which would dominate the time to read many files.
    """
    size = int.from_bytes(content[8:10], "little")
    usual = b"{'descr': '<i2', 'fortran_order': False, 'shape': ("
    if content.startswith(b"\x93NUMPY\x01\x00") and content[10:].startswith(usual):
        return np.frombuffer(content, np.dtype("<i2"), offset=10 + size)
    found: NDArray[Any] = np.lib.format.read_array(BytesIO(content), allow_pickle=False)
    return found


class _Rounded(Mapping[tuple[str, str], Floats]):
    """Influences stored as 16-bit integers, a quarter of the memory, and converted on access."""

    def __init__(
        self,
        rounded: Mapping[tuple[str, str], NDArray[np.int16]],
        steps: Mapping[tuple[str, str], float],
    ) -> None:
        self._rounded, self._steps = rounded, steps

    def __getitem__(self, key: tuple[str, str]) -> Floats:
        found: Floats = self._rounded[key].astype(np.float64) * self._steps[key]
        found -= found.mean()
        return found

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._rounded)

    def __len__(self) -> int:
        return len(self._rounded)


def _digest(table: PredictionTable) -> str:
    if table.images is None:
        return ""
    return hashlib.sha256(table.images.astype("<u8").tobytes()).hexdigest()[:16]
