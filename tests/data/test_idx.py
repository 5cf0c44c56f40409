import gzip
import struct

import numpy as np
import pytest

from shiftbench.data.idx import read_idx
from shiftbench.errors import ShiftbenchError


def idx_bytes(array):
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def test_idx_round_trip(tmp_path):
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    (tmp_path / "a").write_bytes(idx_bytes(array))
    (tmp_path / "a.gz").write_bytes(gzip.compress(idx_bytes(array), mtime=0))
    for name in ("a", "a.gz"):
        np.testing.assert_array_equal(read_idx(tmp_path / name), array)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a", b"", "buffer"),
        ("a", b"\x00\x00\x0d\x01\x00\x00\x00\x00", "starts with 00000d01"),
        ("a", b"\x00\x00\x08\x01\x00\x00\x00\x05abc", "promises 5 values, got 3"),
        ("a", b"\x00\x00\x08\x03\x00\x00", "buffer"),
        ("a.gz", b"not gzip", "gzip"),
        ("a.gz", gzip.compress(b"\x00\x00\x08\x01\x00\x00\x00\x05abcde", mtime=0)[:-9], ""),
    ],
)
def test_idx_file_that_is_damaged_is_one_sentence(tmp_path, name, content, reason):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ShiftbenchError, match=rf"{name} is not a readable idx.*{reason}") as caught:
        read_idx(tmp_path / name)
    assert "\n" not in str(caught.value)
