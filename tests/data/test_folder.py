"""``data=folder``: what is read of a folder of images."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from image_folders import CLASSES, FOLDER_TESTS, make_folder, quick, read, same, write_image
from PIL import Image

from shiftbench.data.folder import FolderDataset, load

CIFAR10 = os.environ.get("SHIFTBENCH_CIFAR10", "")


pytestmark = FOLDER_TESTS


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
