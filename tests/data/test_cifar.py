"""CIFAR, on tiny files in the official format served by a local web server."""

import io
import pickle
import tarfile

import numpy as np
import pytest
import torch
from served_sets import md5, pixels_of, source
from torchvision.datasets import CIFAR10, CIFAR100

from shiftbench.data.selection import Selection
from shiftbench.data.torchvision_sets import load_cifar
from shiftbench.errors import ShiftbenchError

# Python 3.12 and 3.13 warn about torchvision's way of unpacking archives.
pytestmark = [
    pytest.mark.usefixtures("download_cache"),
    pytest.mark.filterwarnings("ignore:.*filter extracted tar:DeprecationWarning"),
]


def tiny_cifar(place, url, base=CIFAR10):
    """Write a CIFAR archive of ten images per batch; return its class and its pixels."""
    rng = np.random.default_rng(0)
    label_key = "labels" if base is CIFAR10 else "fine_labels"
    batches = {
        name: {"data": rng.integers(0, 256, (10, 3072), np.uint8), label_key: list(range(10))}
        for name, _ in base.train_list + base.test_list
    }
    classes = [f"class {i}" for i in range(10)]
    files = {name: pickle.dumps(batch) for name, batch in batches.items()}
    files[base.meta["filename"]] = pickle.dumps({base.meta["key"]: classes})
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(f"{base.base_folder}/{name}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    (place / base.filename).write_bytes(buffer.getvalue())
    facts = {
        "url": f"{url}/{base.filename}",
        "tgz_md5": md5(buffer.getvalue()),
        "train_list": [[name, md5(files[name])] for name, _ in base.train_list],
        "test_list": [[name, md5(files[name])] for name, _ in base.test_list],
        "meta": {**base.meta, "md5": md5(files[base.meta["filename"]])},
    }
    train = np.concatenate([batches[name]["data"] for name, _ in base.train_list])
    return type("Tiny", (base,), facts), train.reshape(-1, 3, 32, 32)


@pytest.mark.parametrize("base", [CIFAR10, CIFAR100])
def test_cifar_is_downloaded_once_and_read(served, tmp_path, base):
    kind, train_pixels = tiny_cifar(*served, base)
    data = load_cifar(source(kind), tmp_path / "root", Selection())
    count = len(train_pixels)
    assert (len(data.train), len(data.val), len(data.test)) == (count * 9 // 10, count // 10, 10)
    assert data.image_shape == (3, 32, 32)
    assert data.classes == tuple(f"class {i}" for i in range(10))
    assert data.train.images.dtype == torch.uint8
    assert data.train.labels.dtype == torch.int64
    both = pixels_of(data.train) | pixels_of(data.val)
    assert both == {image.tobytes() for image in train_pixels}
    assert data.test.labels.tolist() == list(range(10))

    (served[0] / kind.filename).unlink()  # no second download
    again = load_cifar(source(kind), tmp_path / "root", Selection())
    assert torch.equal(again.train.images, data.train.images)


def test_cifar_labels_stay_with_their_images(served, tmp_path):
    kind, train_pixels = tiny_cifar(*served)
    label_of = {image.tobytes(): i % 10 for i, image in enumerate(train_pixels)}
    data = load_cifar(source(kind), tmp_path / "root", Selection())
    for split in (data.train, data.val):
        expected = [label_of[image.numpy().tobytes()] for image in split.images]
        assert split.labels.tolist() == expected


def test_cifar_archive_put_into_the_folder_needs_no_network(served, tmp_path, offline):
    kind, _ = tiny_cifar(*served)
    root = tmp_path / "root"
    root.mkdir()
    (served[0] / kind.filename).rename(root / kind.filename)
    assert len(load_cifar(source(kind), root, Selection()).test) == 10
    assert (root / kind.filename).exists()


def test_cifar_archive_that_is_damaged_is_named(served, tmp_path):
    kind, _ = tiny_cifar(*served)
    root = tmp_path / "root"
    root.mkdir()
    (root / kind.filename).write_bytes(b"half of it")
    with pytest.raises(ShiftbenchError, match=r"cifar-10-python\.tar\.gz is damaged .*delete it"):
        load_cifar(source(kind), root, Selection())


def test_cifar_batch_that_is_damaged_is_named_and_never_unpickled(served, tmp_path):
    kind, _ = tiny_cifar(*served)
    root = tmp_path / "root"
    load_cifar(source(kind), root, Selection())
    (root / kind.base_folder / "data_batch_3").write_bytes(b"cbuiltins\nexit\n(tR.")
    with pytest.raises(ShiftbenchError, match=r"data_batch_3 is damaged .*delete it") as caught:
        load_cifar(source(kind), root, Selection())
    assert "\n" not in str(caught.value)


def test_cifar_batch_that_is_missing_is_downloaded_again(served, tmp_path):
    kind, _ = tiny_cifar(*served)
    root = tmp_path / "root"
    load_cifar(source(kind), root, Selection())
    (root / kind.base_folder / "data_batch_3").unlink()
    assert len(load_cifar(source(kind), root, Selection()).test) == 10


def test_an_interrupted_download_leaves_nothing_behind(served, tmp_path):
    kind, _ = tiny_cifar(*served)
    archive = served[0] / kind.filename
    archive.write_bytes(archive.read_bytes()[:1000])
    root = tmp_path / "root"
    with pytest.raises(ShiftbenchError, match=r"could not be downloaded \(File not found or corr"):
        load_cifar(source(kind), root, Selection())
    assert [path.name for path in root.iterdir() if path.suffix != ".lock"] == []
