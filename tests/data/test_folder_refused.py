"""``data=folder``: images that cannot be read, and folders and values that are refused."""

import shutil

import pytest
from image_folders import CLASSES, DECODED, FOLDER_TESTS, cache_files, make_folder, quick, read

from shiftbench.errors import ShiftbenchError, UsageError

pytestmark = FOLDER_TESTS


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
