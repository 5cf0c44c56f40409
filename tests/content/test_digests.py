"""Digests of files: the content counts, and what is remembered is never out of date."""

import hashlib
import os
import time

import pytest

from shiftbench.content import digests
from shiftbench.content.digests import FileEntry, file_digest, list_digest, stamp_of
from shiftbench.content.paths import named_path, path_content


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SHIFTBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def entries(folder):
    return [
        FileEntry(path.name, str(path), stamp_of(path.stat())) for path in sorted(folder.iterdir())
    ]


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "images"
    place.mkdir()
    for name in "abc":
        (place / name).write_bytes(name.encode() * 10)
    return place


def settle(folder, monkeypatch):
    """Let the files be old enough for their digests to be remembered."""
    monkeypatch.setattr(digests, "SETTLED_NS", -1_000_000_000_000)


def test_a_file_counts_by_its_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(digests, "SMALL", 0)
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    assert file_digest(path) == hashlib.sha256(b"abc").hexdigest()
    assert file_digest(path) == file_digest(path)


def test_a_list_counts_by_names_and_contents_wherever_it_is(folder, tmp_path):
    copy = tmp_path / "elsewhere"
    copy.mkdir()
    for path in folder.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    first = list_digest(folder, "test", entries(folder))
    assert list_digest(copy, "test", entries(copy)) == first
    (copy / "a").rename(copy / "d")
    assert list_digest(copy, "test", entries(copy)) != first


@pytest.mark.parametrize("settled", [True, False])
def test_a_change_of_equal_size_and_times_is_detected(folder, monkeypatch, settled):
    if settled:
        settle(folder, monkeypatch)
    first = list_digest(folder, "test", entries(folder))
    times = (folder / "a").stat()
    time.sleep(0.02)  # more than a tick of the clock that the time of change is read from
    (folder / "a").write_bytes(b"z" * 10)
    os.utime(folder / "a", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert list_digest(folder, "test", entries(folder)) != first


def test_a_recent_file_is_not_cached(folder, cache):
    """Within a tick of the clock a file may change without another time."""
    list_digest(folder, "test", entries(folder))
    assert not [path for path in (cache / "digests").iterdir() if ".files" not in path.name]


def test_an_unchanged_list_is_not_read_again(folder, monkeypatch):
    settle(folder, monkeypatch)
    first = list_digest(folder, "test", entries(folder))
    known = entries(folder)
    for path in folder.iterdir():
        path.unlink()
    assert list_digest(folder, "test", known) == first


def test_only_what_changed_is_read_again(folder, monkeypatch):
    settle(folder, monkeypatch)
    list_digest(folder, "test", entries(folder))
    kept = entries(folder)
    time.sleep(0.02)
    (folder / "b").write_bytes(b"new")
    (folder / "a").unlink()  # reading it would fail
    changed = [kept[0], *entries(folder)]
    assert list_digest(folder, "test", changed) != list_digest(folder, "test", kept[:1])


@pytest.mark.parametrize("damage", [b"", b"[1]", b"{", b'{"stamps": 3}'])
def test_a_damaged_cache_entry_is_recreated(folder, monkeypatch, cache, damage):
    settle(folder, monkeypatch)
    first = list_digest(folder, "test", entries(folder))
    for path in (cache / "digests").iterdir():
        path.write_bytes(damage)
    assert list_digest(folder, "test", entries(folder)) == first


def test_a_cache_that_cannot_be_written_is_no_error(folder, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SHIFTBENCH_CACHE", str(tmp_path / "file" / "cache"))
    assert list_digest(folder, "test", entries(folder))


def test_a_name_without_a_suffix_is_not_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "resnet50").mkdir()
    (tmp_path / "taps.npy").write_bytes(b"1")
    assert named_path("model.name", "resnet50") is None
    assert named_path("data.root", "resnet50") is not None
    assert named_path("pool.taps", "taps.npy") is not None
    assert named_path("pool.taps", "missing.npy") is None
    assert named_path("model.kwargs.cache_dir", str(tmp_path)) is None
    assert named_path("seed", 3) is None


def test_a_folder_counts_by_all_its_files(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name / "deep").mkdir(parents=True)
        (tmp_path / name / "deep" / "x.npy").write_bytes(b"1")
        (tmp_path / name / ".hidden").write_bytes(name.encode())
    assert path_content(tmp_path / "one") == path_content(tmp_path / "two")
    (tmp_path / "two" / "deep" / "x.npy").write_bytes(b"2")
    assert path_content(tmp_path / "one") != path_content(tmp_path / "two")
