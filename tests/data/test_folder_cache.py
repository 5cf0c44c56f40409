"""The cache of decoded images of ``data=folder``."""

import logging
import os

import numpy as np
import pytest
from image_folders import (
    DECODED,
    FOLDER_TESTS,
    cache_files,
    make_folder,
    quick,
    read,
    same,
    write_image,
)
from PIL import Image

from shiftbench.data.folder import load

pytestmark = FOLDER_TESTS


def test_images_are_decoded_once(root, caplog):
    first = quick(root)
    assert "decoding 30 images" in caplog.text
    assert "decoding 12 images" in caplog.text
    caplog.clear()
    assert same(first, quick(root))
    assert DECODED not in caplog.text


def test_another_size_or_channel_count_is_decoded_again(root, caplog):
    quick(root)
    for values in ({"size": 7}, {"channels": 1}):
        caplog.clear()
        quick(root, **values)
        assert DECODED in caplog.text


def test_a_replaced_image_of_equal_length_and_time_is_detected(tmp_path):
    root = tmp_path / "set"
    for split in ("train", "test"):
        for name in ("a", "b"):
            (root / split / name).mkdir(parents=True)
            for number in range(3):
                Image.new("RGB", (8, 8), "black").save(root / split / name / f"{number}.bmp")
    assert read(quick(root).test)[0].max() == 0
    target = root / "test" / "b" / "2.bmp"
    before = target.stat()
    Image.new("RGB", (8, 8), "white").save(target)
    os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert target.stat().st_size == before.st_size
    assert read(quick(root).test)[0][-1].min() == 255


def test_added_and_removed_images_are_detected(root):
    quick(root)
    (root / "test" / "cat" / "00.png").unlink()
    assert len(quick(root).test) == 11
    write_image(root / "test" / "dog" / "99.png", 99, 1, "test")
    assert read(quick(root).test)[0][7, 0, 0, 0] == 99


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-40])


def flip_a_pixel(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def swap_for_a_smaller_one(path):
    np.savez(path, images=np.zeros((2, 3, 8, 8), np.uint8), failed=[], reasons=[])


def leave_arrays_out(path):
    np.savez(path, images=np.zeros((30, 3, 8, 8), np.uint8))


@pytest.mark.parametrize(
    "damage", [cut_short, flip_a_pixel, swap_for_a_smaller_one, leave_arrays_out]
)
def test_a_damaged_cache_is_recreated(tmp_path, root, caplog, damage):
    first = quick(root)
    whole = {path: path.read_bytes() for path in cache_files(tmp_path)}
    assert len(whole) == 2
    for path in whole:
        damage(path)
    caplog.clear()
    assert same(first, quick(root))
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 2
    assert "is damaged" in warnings[0].message
    assert {path: path.read_bytes() for path in cache_files(tmp_path)} == whole


def test_without_a_cache_it_still_works(tmp_path, root, caplog, monkeypatch):
    (tmp_path / "file").touch()
    expected = quick(root)
    monkeypatch.setenv("SHIFTBENCH_CACHE", str(tmp_path / "file"))
    assert same(expected, quick(root))
    assert "could not keep the decoded images" in caplog.text
    assert "damaged" not in caplog.text


def test_swapped_files_of_one_instant_swap_labels(tmp_path):
    """Same names, sizes and times as before: what is kept of the decoded files is not theirs."""
    root = make_folder(tmp_path / "ds", {"train": 4, "test": 1}, classes=("a", "b"))
    for path in (root / "test").rglob("*.*"):
        path.unlink()
    dark, light = root / "test" / "a" / "0.ppm", root / "test" / "b" / "0.ppm"
    for _ in range(1000):
        dark.write_bytes(b"P6 1 1 255\n" + bytes([10] * 3))
        light.write_bytes(b"P6 1 1 255\n" + bytes([200] * 3))
        if dark.stat().st_ctime_ns == light.stat().st_ctime_ns:
            break
    else:
        pytest.skip("the file system's clock is too fine")
    settings = {"size": 1, "workers": 0, "val_fraction": 0.5}
    assert load(root, **settings).test.images[:, 0].flatten().tolist() == [10, 200]
    (root / "test" / "a").rename(root / "test" / "c")
    (root / "test" / "b").rename(root / "test" / "a")
    (root / "test" / "c").rename(root / "test" / "b")
    assert load(root, **settings).test.images[:, 0].flatten().tolist() == [200, 10]
