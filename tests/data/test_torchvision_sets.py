"""The official sets, on tiny files in the official formats served by a local web server."""

import functools
import gzip
import hashlib
import http.server
import inspect
import io
import pickle
import struct
import tarfile
import threading
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from torchvision.datasets import CIFAR10, CIFAR100, MNIST, FashionMNIST

from shiftbench.data import cifar10, cifar100, fashion_mnist, folder, mnist
from shiftbench.data.selection import Selection
from shiftbench.data.torchvision_sets import Source, load_cifar, load_mnist
from shiftbench.errors import ShiftbenchError
from shiftbench.storage.cache import cache_dir

CONFIGS = Path(__file__).parents[2] / "configs" / "data"
MODULES = {
    "cifar10": cifar10,
    "cifar100": cifar100,
    "mnist": mnist,
    "fashion_mnist": fashion_mnist,
    "folder": folder,
}
# Python 3.12 and 3.13 warn about torchvision's way of unpacking archives.
pytestmark = pytest.mark.filterwarnings("ignore:.*filter extracted tar:DeprecationWarning")
DIGITS = tuple("0123456789")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SHIFTBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    # urllib keeps the proxies of its first call.
    monkeypatch.setattr(urllib.request, "_opener", None)


@pytest.fixture
def offline(monkeypatch):
    """Send every download to a port where nobody listens."""
    monkeypatch.delenv("no_proxy")
    monkeypatch.delenv("NO_PROXY", raising=False)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")


@pytest.fixture
def served(tmp_path):
    """Give a folder and its web address."""
    place = tmp_path / "served"
    place.mkdir()
    handler = functools.partial(QuietHandler, directory=place)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield place, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


def md5(data):
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


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


def idx_bytes(array):
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    return header + array.astype(np.uint8).tobytes()


def tiny_mnist_arrays(train=30, test=10):
    rng = np.random.default_rng(1)
    return {
        "train-images-idx3-ubyte.gz": rng.integers(0, 256, (train, 28, 28), np.uint8),
        "train-labels-idx1-ubyte.gz": np.arange(train) % 10,
        "t10k-images-idx3-ubyte.gz": rng.integers(0, 256, (test, 28, 28), np.uint8),
        "t10k-labels-idx1-ubyte.gz": np.arange(test) % 10,
    }


def write_idx_files(place, arrays):
    place.mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        (place / name).write_bytes(gzip.compress(idx_bytes(array)))


def tiny_mnist(place, url, base=MNIST):
    arrays = tiny_mnist_arrays()
    write_idx_files(place, arrays)
    resources = [(name, md5((place / name).read_bytes())) for name in arrays]
    facts = {"mirrors": [f"{url}/"], "resources": resources}
    return type(base.__name__, (base,), facts), arrays


def source(kind, name="tiny"):
    return Source(name, "Tiny", "https://example.org/tiny", kind)


def pixels_of(split):
    """Return the images as a set, whatever their order."""
    return {image.numpy().tobytes() for image in split.images}


# CIFAR ------------------------------------------------------------------------------------------


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


def test_a_download_that_breaks_off_leaves_nothing_behind(served, tmp_path):
    kind, _ = tiny_cifar(*served)
    archive = served[0] / kind.filename
    archive.write_bytes(archive.read_bytes()[:1000])
    root = tmp_path / "root"
    with pytest.raises(ShiftbenchError, match=r"could not be downloaded \(File not found or corr"):
        load_cifar(source(kind), root, Selection())
    assert [path.name for path in root.iterdir() if path.suffix != ".lock"] == []


@pytest.mark.parametrize(
    ("module", "files", "place"),
    [
        (cifar10, "cifar-10-python.tar.gz", ""),
        (cifar100, "cifar-100-python.tar.gz", ""),
        (mnist, "train-images-idx3-ubyte.gz", "MNIST/raw"),
        (fashion_mnist, "t10k-labels-idx1-ubyte.gz", "FashionMNIST/raw"),
    ],
)
def test_without_network_one_sentence_says_what_to_do(tmp_path, offline, module, files, place):
    start = time.monotonic()
    with pytest.raises(ShiftbenchError) as caught:
        module.load(root=tmp_path / "root")
    assert time.monotonic() - start < 5
    message = str(caught.value)
    assert message.startswith(f"{module.SOURCE.title} is not in {tmp_path / 'root' / place} and")
    assert "\n" not in message
    for part in (files, module.SOURCE.page, "refused", "data=folder data.root=PATH"):
        assert part in message
    assert [path for path in (tmp_path / "root").rglob("*") if path.suffix != ".lock"] == []


def test_a_folder_that_cannot_be_made_is_the_same_sentence(tmp_path, offline):
    (tmp_path / "root").write_text("a file")
    with pytest.raises(ShiftbenchError, match=r"CIFAR-10 is not in .* could not be downloaded"):
        cifar10.load(root=tmp_path / "root")


# MNIST ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("base", [MNIST, FashionMNIST])
def test_mnist_is_downloaded_once_and_read(served, base):
    kind, arrays = tiny_mnist(*served, base)
    data = load_mnist(source(kind), None, Selection(), DIGITS)
    assert (len(data.train), len(data.val), len(data.test)) == (27, 3, 10)
    assert data.image_shape == (1, 28, 28)
    assert data.classes == DIGITS
    expected = torch.from_numpy(arrays["t10k-images-idx3-ubyte.gz"])[:, None]
    assert torch.equal(data.test.images, expected)
    assert data.test.labels.tolist() == list(range(10))
    assert (cache_dir() / base.__name__ / "raw").is_dir()

    for path in served[0].iterdir():
        path.unlink()
    again = load_mnist(source(kind), None, Selection(), DIGITS)
    assert torch.equal(again.train.images, data.train.images)


def test_mnist_files_put_into_the_folder_need_no_network(tmp_path, offline):
    arrays = tiny_mnist_arrays()
    write_idx_files(tmp_path / "MNIST" / "raw", arrays)
    data = mnist.load(root=tmp_path)
    assert data.name == "mnist"
    assert data.classes == DIGITS
    assert len(data.train) + len(data.val) == 30
    # torchvision reads the same from the uncompressed files.
    for name, array in arrays.items():
        path = tmp_path / "MNIST" / "raw" / name
        path.with_suffix("").write_bytes(idx_bytes(array))
        path.unlink()
    reference = MNIST(tmp_path, train=False)
    plain = mnist.load(root=tmp_path)
    assert torch.equal(plain.test.images[:, 0], reference.data)
    assert torch.equal(plain.test.labels, reference.targets)
    assert torch.equal(plain.train.images, data.train.images)


def test_mnist_of_a_system_package_is_used_only_without_a_root(tmp_path, offline):
    write_idx_files(tmp_path / "system", tiny_mnist_arrays())
    what = fashion_mnist.SOURCE
    data = load_mnist(what, None, Selection(), DIGITS, system=tmp_path / "system")
    assert len(data.test) == 10
    with pytest.raises(ShiftbenchError, match="Fashion-MNIST is not in"):
        load_mnist(what, tmp_path / "root", Selection(), DIGITS, system=tmp_path / "system")


def test_mnist_whose_labels_and_images_do_not_fit_is_refused(tmp_path):
    arrays = tiny_mnist_arrays()
    arrays["train-labels-idx1-ubyte.gz"] = np.zeros(7)
    write_idx_files(tmp_path / "MNIST" / "raw", arrays)
    with pytest.raises(ShiftbenchError, match=r"shape \(30, 28, 28\) and \(7,\)"):
        mnist.load(root=tmp_path)


def test_mnist_label_out_of_range_is_refused(tmp_path):
    arrays = tiny_mnist_arrays()
    arrays["t10k-labels-idx1-ubyte.gz"] = np.full(10, 17)
    write_idx_files(tmp_path / "MNIST" / "raw", arrays)
    with pytest.raises(ShiftbenchError, match="holds label 17, not 0 to 9"):
        mnist.load(root=tmp_path)


@pytest.mark.skipif(not fashion_mnist.DEBIAN.is_dir(), reason="needs dataset-fashion-mnist")
def test_fashion_mnist_of_debian():
    data = fashion_mnist.load()
    assert (len(data.train), len(data.val), len(data.test)) == (54_000, 6_000, 10_000)
    assert torch.bincount(data.test.labels).tolist() == [1000] * 10
    # The published statistics of all 60,000 training images.
    assert data.mean == pytest.approx((0.2860,), abs=2e-3)
    assert data.std == pytest.approx((0.3530,), abs=2e-3)
    assert data.classes[data.test.labels[0]] == "Ankle boot"


# Configuration ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODULES)
def test_config_names_every_argument_with_its_default(name):
    text = (CONFIGS / f"{name}.yaml").read_text(encoding="utf-8")
    config = OmegaConf.to_container(OmegaConf.create(text))
    assert config.pop("_target_") == f"shiftbench.data.{name}.load"
    parameters = inspect.signature(MODULES[name].load).parameters
    assert config == {key: parameter.default for key, parameter in parameters.items()}
    assert text.startswith("# ")
