"""MNIST and Fashion-MNIST, on tiny files in the official format."""

import numpy as np
import pytest
import torch
from idx_files import idx_bytes, tiny_mnist_arrays, write_idx_files
from served_sets import md5, source
from torchvision.datasets import MNIST, FashionMNIST

from shiftbench.data import fashion_mnist, mnist
from shiftbench.data.selection import Selection
from shiftbench.data.torchvision_sets import load_mnist
from shiftbench.errors import ShiftbenchError
from shiftbench.storage.cache import cache_dir

# Python 3.12 and 3.13 warn about torchvision's way of unpacking archives.
pytestmark = [
    pytest.mark.usefixtures("download_cache"),
    pytest.mark.filterwarnings("ignore:.*filter extracted tar:DeprecationWarning"),
]
DIGITS = tuple("0123456789")


def tiny_mnist(place, url, base=MNIST):
    arrays = tiny_mnist_arrays()
    write_idx_files(place, arrays)
    resources = [(name, md5((place / name).read_bytes())) for name in arrays]
    facts = {"mirrors": [f"{url}/"], "resources": resources}
    return type(base.__name__, (base,), facts), arrays


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
