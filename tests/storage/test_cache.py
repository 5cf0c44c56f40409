import logging
import tempfile
from pathlib import Path

import numpy as np
import pytest

from shiftbench.storage.cache import cache_dir, read_arrays, write_arrays

ARRAYS = {
    "images": np.arange(3000, dtype=np.uint8).reshape(10, 3, 10, 10),
    "reasons": np.array(["é"]),
}


def test_cache_folder(monkeypatch):
    monkeypatch.setenv("SHIFTBENCH_CACHE", "/somewhere/own")
    assert cache_dir() == Path("/somewhere/own")
    monkeypatch.delenv("SHIFTBENCH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere/xdg")
    assert cache_dir() == Path("/somewhere/xdg/shiftbench")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_dir() == Path.home() / ".cache" / "shiftbench"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_dir() == Path.home() / ".cache" / "shiftbench"


def test_arrays_come_back_as_they_were(tmp_path):
    path = tmp_path / "new" / "a.npz"
    assert read_arrays(path) is None
    write_arrays(path, ARRAYS)
    found = read_arrays(path)
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype
    assert [file.name for file in path.parent.iterdir()] == ["a.npz"]


def cut_short(data):
    return data[: len(data) // 2]


def flip_a_pixel(data):
    return data[:1000] + bytes([data[1000] ^ 1]) + data[1001:]


def keep_nothing(data):
    return b""


def write_other_bytes(data):
    return b"no archive at all"


def write_a_pickle(data):
    return b"cbuiltins\nexit\n(tR."


@pytest.mark.parametrize(
    "damage", [cut_short, flip_a_pixel, keep_nothing, write_other_bytes, write_a_pickle]
)
def test_a_damaged_file_is_noticed_and_logged(tmp_path, caplog, damage):
    path = tmp_path / "a.npz"
    write_arrays(path, ARRAYS)
    path.write_bytes(damage(path.read_bytes()))
    with caplog.at_level(logging.WARNING):
        assert read_arrays(path) is None
    assert "is damaged" in caplog.text


def test_a_lone_array_is_no_archive(tmp_path, caplog):
    with (tmp_path / "a.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    assert read_arrays(tmp_path / "a.npz") is None
    assert "is damaged" in caplog.text


def test_a_cache_that_cannot_be_written_is_only_a_warning(tmp_path, caplog):
    (tmp_path / "file").touch()
    write_arrays(tmp_path / "file" / "a.npz", ARRAYS)
    write_arrays(tmp_path / "file" / "b.npz", ARRAYS)
    assert caplog.text.count("could not keep") == 1


def test_a_cache_file_that_may_not_be_read_is_left_alone(tmp_path, caplog):
    (tmp_path / "a.npz").mkdir()  # as root may read any file
    assert read_arrays(tmp_path / "a.npz") is None
    assert "cannot be read" in caplog.text
    assert (tmp_path / "a.npz").exists()


def test_without_a_home_directory_the_cache_is_temporary(monkeypatch, caplog):
    def nobody(user):
        raise KeyError(user)

    for name in ("HOME", "XDG_CACHE_HOME", "SHIFTBENCH_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", nobody)
    with pytest.raises(RuntimeError):
        Path.home()
    assert cache_dir().is_relative_to(tempfile.gettempdir())
    assert "no home directory" in caplog.text
