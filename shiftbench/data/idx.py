"""The idx format of MNIST and Fashion-MNIST: a header of sizes, then one byte per value."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shiftbench.errors import ShiftbenchError

_UNSIGNED_BYTE = 0x08


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Return the uint8 array of an idx file, plain or gzip-compressed (``.gz``).

    Raises:
        ShiftbenchError: If the file cannot be read or its length does not match its header.
    """
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        return _parse(data)
    except (OSError, EOFError, ValueError, struct.error, zlib.error) as error:
        raise ShiftbenchError(
            f"{path} is not a readable idx file of bytes ({error}); delete it and download it again"
        ) from error


def _parse(data: bytes) -> NDArray[np.uint8]:
    zeros, kind, rank = struct.unpack_from(">HBB", data)
    if zeros != 0 or kind != _UNSIGNED_BYTE:
        raise ValueError(f"it starts with {data[:4].hex()}, not with 000008")
    shape = struct.unpack_from(f">{rank}I", data, offset=4)
    start = 4 + 4 * rank
    if len(data) - start != math.prod(shape):
        raise ValueError(f"the header promises {math.prod(shape)} values, got {len(data) - start}")
    # A copy, since an array over bytes is read-only and torch warns about that.
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape).copy()
