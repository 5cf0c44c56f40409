import logging
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from shiftbench.data.folder import FolderDataset, load
from shiftbench.data.images import TensorSplit
from shiftbench.data.stream import StreamSplit
from shiftbench.errors import ShiftbenchError, UsageError

CLASSES = ("cat", "dog", "emu")
DECODED = "decoding"
CIFAR10 = os.environ.get("SHIFTBENCH_CIFAR10", "")

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*multi-threaded, use of fork:DeprecationWarning",
    "ignore:This DataLoader will create:UserWarning",
)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("SHIFTBENCH_CACHE", str(tmp_path / "cache"))
    caplog.set_level(logging.INFO)


@pytest.fixture
def root(tmp_path):
    """Give a folder of 3 classes with 10 training and 4 test images of 8×8 pixels each."""
    return make_folder(tmp_path / "animals", {"train": 10, "test": 4})


def make_folder(root, counts, classes=CLASSES):
    for split, count in counts.items():
        for label, name in enumerate(classes):
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                write_image(root / split / name / f"{number:02}.png", number, label, split)
    return root


def write_image(path, number, label, split, side=8):
    """Write an image whose first pixel encodes its number and label."""
    rng = np.random.default_rng([number, label, len(split)])
    pixels = rng.integers(0, 256, (side, side, 3), np.uint8)
    pixels[0, 0] = (number, label, 0)
    Image.fromarray(pixels).save(path)


def read(split, batch_size=7, order=None):
    images, labels = zip(*split.batches(batch_size, order), strict=True)
    return torch.cat(images), torch.cat(labels)


def quick(root, **values):
    return load(root, **{"size": 8, "workers": 0, **values})


def cache_files(tmp_path):
    return sorted((tmp_path / "cache" / "folder").glob("*.npz"))


def same(one, two):
    pairs = [(getattr(one, name), getattr(two, name)) for name in ("train", "val", "test")]
    return all(torch.equal(a, b) for pair in pairs for a, b in zip(*map(read, pair), strict=True))


# What is read -----------------------------------------------------------------------------------


def test_known_answer(root):
    data = quick(root)
    assert isinstance(data, FolderDataset)
    assert (data.name, data.classes) == ("folder:animals", CLASSES)
    assert data.image_shape == (3, 8, 8)
    assert (len(data.train), len(data.val), len(data.test)) == (27, 3, 12)
    assert data.skipped == ()
    images, labels = read(data.test)
    for index, path in enumerate(sorted((root / "test").rglob("*.png"))):
        with Image.open(path) as image:
            np.testing.assert_array_equal(images[index].permute(1, 2, 0), np.asarray(image))
        assert CLASSES[labels[index]] == path.parent.name


def test_labels_stay_with_their_images_and_no_image_is_lost(root):
    data = quick(root)
    seen = []
    for split in (data.train, data.val):
        images, labels = read(split)
        assert images[:, 1, 0, 0].tolist() == labels.tolist()
        seen += zip(images[:, 0, 0, 0].tolist(), labels.tolist(), strict=True)
    assert sorted(seen) == [(number, label) for number in range(10) for label in range(3)]


def test_statistics_are_of_the_training_part(root):
    data = quick(root)
    values = data.train.images.double() / 255
    assert data.mean == pytest.approx(values.mean((0, 2, 3)).tolist())
    assert data.std == pytest.approx(values.std((0, 2, 3), correction=0).tolist())


def test_val_folder_replaces_a_missing_test_folder(tmp_path):
    root = make_folder(tmp_path / "set", {"train": 10, "val": 2})
    data = quick(root)
    assert (len(data.train), len(data.val), len(data.test)) == (27, 3, 6)


def test_val_folder_validates_where_there_is_a_test_folder(tmp_path):
    root = make_folder(tmp_path / "set", {"train": 10, "val": 2, "test": 3})
    data = quick(root)
    assert (len(data.train), len(data.val), len(data.test)) == (30, 6, 9)


def test_name_and_relative_root(root, monkeypatch):
    assert quick(root, name="mine").name == "mine"
    monkeypatch.chdir(root)
    assert quick(".").name == "folder:animals"
    assert quick("../animals/").name == "folder:animals"


def test_limits(root):
    data = quick(root, limit_train=10, limit_test=5)
    assert (len(data.train), len(data.val), len(data.test)) == (9, 1, 5)
    images, labels = read(data.test)
    assert images[:, 1, 0, 0].tolist() == labels.tolist()


def test_the_split_has_its_own_seed(root):
    assert same(quick(root), quick(root))
    assert not same(quick(root), quick(root, split_seed=1))


def test_other_files_hidden_files_and_nested_folders(root):
    (root / "train" / "cat" / "notes.txt").write_text("no image")
    (root / "train" / "cat" / "._00.png").write_text("no image")
    (root / "train" / ".cache").mkdir()
    (root / "train" / "dog" / "more").mkdir()
    write_image(root / "train" / "dog" / "more" / "UPPER.PNG", 10, 1, "train")
    data = quick(root)
    assert len(data.train) + len(data.val) == 31
    assert data.classes == CLASSES


def test_size_and_channels(root):
    data = quick(root, size=5, channels=1)
    assert data.image_shape == (1, 5, 5)
    assert data.train.images.shape == (27, 1, 5, 5)
    assert len(data.mean) == 1


def test_worker_processes_read_the_same(tmp_path, monkeypatch):
    # At this size a batch is 5 images, so the workers have something to share.
    root = make_folder(tmp_path / "animals", {"train": 4, "test": 2})
    alone = quick(root, size=500)
    monkeypatch.setenv("SHIFTBENCH_CACHE", str(tmp_path / "other"))
    assert same(alone, quick(root, size=500, workers=2))


def test_moving_keeps_what_was_skipped(root):
    (root / "train" / "cat" / "00.png").write_text("hello")
    data = quick(root, skip_unreadable=True).to(torch.device("cpu"))
    assert data.skipped == ("train/cat/00.png",)


# The cache --------------------------------------------------------------------------------------


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


# Too large for memory ---------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 2])
def test_streaming_yields_the_same_batches_as_memory(tmp_path, root, workers):
    write_image(root / "train" / "cat" / "large.png", 11, 0, "train", side=13)
    memory, stream = quick(root), quick(root, memory_limit_gb=0, workers=workers)
    assert isinstance(memory.train, TensorSplit)
    assert isinstance(stream.train, StreamSplit)
    assert same(memory, stream)
    order = torch.randperm(27, generator=torch.Generator().manual_seed(3))
    pairs = zip(memory.train.batches(4, order), stream.train.batches(4, order), strict=True)
    for one, two in pairs:
        assert all(map(torch.equal, one, two))
    # Fewer images than the sample, so the statistics are of all of them.
    assert stream.mean == memory.mean
    assert stream.std == memory.std


def test_the_limit_is_on_the_pixels_that_are_used(root):
    gigabytes = 42 * 3 * 8 * 8 / 1e9
    assert isinstance(quick(root, memory_limit_gb=gigabytes * 1.01).train, TensorSplit)
    assert isinstance(quick(root, memory_limit_gb=gigabytes * 0.99).train, StreamSplit)
    limited = quick(root, memory_limit_gb=gigabytes / 2, limit_train=5, limit_test=5)
    assert isinstance(limited.train, TensorSplit)


def test_streaming_leaves_unreadable_images_out(root, caplog):
    (root / "train" / "dog" / "03.png").write_text("hello")
    values = {"memory_limit_gb": 0, "skip_unreadable": True}
    data = quick(root, **values)
    assert isinstance(data.train, StreamSplit)
    assert len(data.train) + len(data.val) == 29
    assert data.skipped == ("train/dog/03.png",)
    caplog.clear()
    assert same(data, quick(root, **values))
    assert DECODED not in caplog.text
    assert same(data, quick(root, skip_unreadable=True))


def test_streaming_reports_an_unreadable_image_in_one_sentence(root):
    (root / "test" / "dog" / "03.png").write_text("hello")
    data = quick(root, memory_limit_gb=0)
    with pytest.raises(ShiftbenchError, match=r"dog/03\.png cannot be read \(not an image\)"):
        read(data.test)


# Unreadable images ------------------------------------------------------------------------------


def spoil(root, names):
    for name in names:
        (root / name).write_bytes((root / name).read_bytes()[:60])


def test_unreadable_images_are_named_and_counted(root, tmp_path):
    spoil(root, [f"train/cat/0{n}.png" for n in range(6)] + ["test/emu/01.png"])
    with pytest.raises(ShiftbenchError) as caught:
        quick(root)
    message = str(caught.value)
    assert "7 of 42 images" in message
    assert "train/cat/00.png (" in message
    assert "and 2 more" in message
    assert "data.skip_unreadable=true" in message
    assert "\n" not in message
    assert cache_files(tmp_path) == []


def test_unreadable_images_can_be_left_out(root, caplog):
    names = ("train/cat/00.png", "train/emu/09.png", "test/emu/01.png")
    spoil(root, names)
    data = quick(root, skip_unreadable=True)
    assert data.skipped == names
    assert (len(data.train) + len(data.val), len(data.test)) == (28, 11)
    assert "3 of 42 images" in caplog.text
    assert "left out" in caplog.text
    for split in (data.train, data.val, data.test):
        images, labels = read(split)
        assert images[:, 1, 0, 0].tolist() == labels.tolist()

    caplog.clear()  # the cache remembers them
    assert quick(root, skip_unreadable=True).skipped == names
    assert DECODED not in caplog.text
    with pytest.raises(ShiftbenchError, match="3 of 42 images"):
        quick(root)


def test_a_repaired_image_is_read_again(root):
    good = (root / "train" / "cat" / "00.png").read_bytes()
    spoil(root, ["train/cat/00.png"])
    assert len(quick(root, skip_unreadable=True).skipped) == 1
    (root / "train" / "cat" / "00.png").write_bytes(good)
    assert quick(root).skipped == ()


def test_a_class_without_a_readable_image_is_refused(root):
    spoil(root, [f"test/dog/0{n}.png" for n in range(4)])
    with pytest.raises(ShiftbenchError, match="leaves no test image of dog"):
        quick(root, skip_unreadable=True)


def test_a_dangling_link_is_an_unreadable_image(root):
    (root / "train" / "cat" / "link.png").symlink_to(root / "nowhere.png")
    with pytest.raises(ShiftbenchError, match=r"1 of 43 .*train/cat/link\.png"):
        quick(root)


# What is refused --------------------------------------------------------------------------------


def remove(*names):
    def change(root):
        for name in names:
            shutil.rmtree(root / name)

    return change


def empty(*names):
    def change(root):
        for name in names:
            shutil.rmtree(root / name)
            (root / name).mkdir()

    return change


def rename(old, new):
    def change(root):
        (root / old).rename(root / new)

    return change


def put_text_files_in(name):
    def change(root):
        empty(name)(root)
        (root / name / "a.txt").touch()

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (remove("."), "animals is not a folder; give one that holds train/<class>/ and"),
        (remove("train"), r"has no train folder \(it has test\)"),
        (remove("test"), r"has no test or val folder \(it has train\)"),
        (remove("train", "test"), r"has no train folder \(it has none\)"),
        (remove("train/cat", "train/dog"), r"train has 1 class folder\(s\), at least 2"),
        (empty("train"), r"train has 0 class folder\(s\), at least 2"),
        (remove("test/cat"), r"in train and test \(only in train: cat\)"),
        (rename("test/cat", "test/cow"), r"only in train: cat; only in test: cow"),
        (remove("train/dog"), r"\(only in test: dog\)"),
        (empty("train/dog"), r"1 class folder\(s\) without an image: train/dog; put images"),
        (put_text_files_in("test/emu"), r"without an image: test/emu"),
        (empty(*(f"{s}/{c}" for s in ("train", "test") for c in CLASSES)), "6 class folder"),
    ],
)
def test_another_folder_layout_is_a_usage_error(root, change, words):
    change(root)
    with pytest.raises(UsageError, match=words) as caught:
        quick(root)
    assert "\n" not in str(caught.value)


def test_classes_of_a_val_folder_are_named_as_such(tmp_path):
    root = make_folder(tmp_path / "set", {"train": 3, "val": 2})
    shutil.rmtree(root / "val" / "dog")
    with pytest.raises(UsageError, match=r"in train and val \(only in train: dog\)"):
        quick(root)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"root": None}, "add data.root=PATH"),
        ({"channels": 4}, "data.channels=4 is not known; allowed: 3"),
        ({"size": 0}, "data.size=0"),
        ({"workers": -1}, "data.workers=-1"),
        ({"memory_limit_gb": -1.0}, "data.memory_limit_gb=-1.0"),
        ({"val_fraction": 2.0}, "data.val_fraction=2.0"),
        ({"limit_test": 0}, "data.limit_test=0"),
    ],
)
def test_values_out_of_range_are_usage_errors(root, values, words):
    with pytest.raises(UsageError, match=words):
        quick(**{"root": root, **values})


# A real set -------------------------------------------------------------------------------------


@pytest.mark.skipif(
    not Path(CIFAR10, "train").is_dir() or not CIFAR10,
    reason="set SHIFTBENCH_CIFAR10 to a folder with train/<class>/ and test/<class>/ of CIFAR-10",
)
def test_cifar10_as_a_folder():
    data = load(CIFAR10, limit_train=1000, limit_test=200, workers=0)
    assert len(data.classes) == 10
    assert (len(data.train), len(data.val), len(data.test)) == (900, 100, 200)
    assert data.image_shape == (3, 32, 32)
    # The published statistics of all 50,000 training images.
    assert data.mean == pytest.approx((0.4914, 0.4822, 0.4465), abs=0.03)
    assert data.std == pytest.approx((0.2470, 0.2435, 0.2616), abs=0.03)
    assert torch.bincount(data.train.labels).min() > 50
    stream = load(CIFAR10, limit_train=1000, limit_test=200, workers=0, memory_limit_gb=0)
    assert same(data, stream)


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
