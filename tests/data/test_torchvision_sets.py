"""The official sets without a network, and their configurations."""

import inspect
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from shiftbench.data import (
    cifar10,
    cifar100,
    fashion_mnist,
    folder,
    mnist,
    mnist_scale,
    rotated_fashion_mnist,
    rotated_mnist,
)
from shiftbench.errors import ShiftbenchError

CONFIGS = Path(__file__).parents[2] / "configs" / "data"
MODULES = {
    "cifar10": cifar10,
    "cifar100": cifar100,
    "mnist": mnist,
    "fashion_mnist": fashion_mnist,
    "folder": folder,
    "rotated_mnist": rotated_mnist,
    "rotated_fashion_mnist": rotated_fashion_mnist,
    "mnist_scale": mnist_scale,
}
# Python 3.12 and 3.13 warn about torchvision's way of unpacking archives.
pytestmark = [
    pytest.mark.usefixtures("download_cache"),
    pytest.mark.filterwarnings("ignore:.*filter extracted tar:DeprecationWarning"),
]


@pytest.mark.parametrize(
    ("module", "files", "place"),
    [
        (cifar10, "cifar-10-python.tar.gz", ""),
        (cifar100, "cifar-100-python.tar.gz", ""),
        (mnist, "train-images-idx3-ubyte.gz", "MNIST/raw"),
        (fashion_mnist, "t10k-labels-idx1-ubyte.gz", "FashionMNIST/raw"),
        (rotated_mnist, "train-images-idx3-ubyte.gz", "MNIST/raw"),
        (rotated_fashion_mnist, "t10k-labels-idx1-ubyte.gz", "FashionMNIST/raw"),
        (mnist_scale, "train-images-idx3-ubyte.gz", "MNIST/raw"),
    ],
)
def test_without_network_one_sentence_says_what_to_do(tmp_path, offline, module, files, place):
    with pytest.raises(ShiftbenchError) as caught:
        module.load(root=tmp_path / "root")
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


@pytest.mark.parametrize("name", MODULES)
def test_config_names_every_argument_with_its_default(name):
    text = (CONFIGS / f"{name}.yaml").read_text(encoding="utf-8")
    config = OmegaConf.to_container(OmegaConf.create(text))
    assert config.pop("_target_") == f"shiftbench.data.{name}.load"
    parameters = inspect.signature(MODULES[name].load).parameters
    # A list in a yaml is a tuple in Python.
    config = {key: tuple(v) if isinstance(v, list) else v for key, v in config.items()}
    if changes := config.pop("test", None):
        assert set(changes.values()) == {None}
        config["test"] = None
    assert config == {key: parameter.default for key, parameter in parameters.items()}
    assert text.startswith("# ")
