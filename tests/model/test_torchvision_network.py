"""Networks of torchvision: preprocessing of their weights, files, names, offline use."""

import urllib.error

import pytest
import torch
from torchvision import models

from shiftbench.errors import ShiftbenchError, UsageError
from shiftbench.model.torchvision_network import TorchvisionNetwork
from shiftbench.preprocessing import Preprocessing

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@pytest.mark.parametrize(
    ("name", "weights", "expected"),
    [
        ("resnet50", "IMAGENET1K_V1", Preprocessing(224, 256, "bilinear", *IMAGENET)),
        ("resnet50", "DEFAULT", Preprocessing(224, 232, "bilinear", *IMAGENET)),
        ("efficientnet_b3", "DEFAULT", Preprocessing(300, 320, "bicubic", *IMAGENET)),
        ("resnet50", "files/resnet50-0676ba61.pth", Preprocessing(224, 256, "bilinear", *IMAGENET)),
        ("resnet50", "mine.pth", Preprocessing()),
        ("resnet50", None, Preprocessing()),
    ],
)
def test_preprocessing_is_what_the_weights_were_tested_with(name, weights, expected):
    assert TorchvisionNetwork(name, weights).recipe() == expected


@pytest.mark.parametrize("name", models.list_models(module=models))
def test_the_preprocessing_of_every_network_is_complete(name):
    assert TorchvisionNetwork(name, "DEFAULT").recipe().completed().resize


def test_a_network_without_weights_answers_the_datas_classes():
    network = TorchvisionNetwork("squeezenet1_1").network(num_classes=7, in_chans=3)
    assert network.eval()(torch.zeros(1, 3, 64, 64)).shape == (1, 7)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({}, r"give model\.name=resnet50"),
        ({"name": "resnet49"}, r"did you mean 'resnet\d+'"),
        ({"name": "fasterrcnn_resnet50_fpn"}, "not a classification network"),
        ({"name": "resnet50", "weights": "IMAGENET1K_V3"}, "IMAGENET1K_V1, IMAGENET1K_V2"),
    ],
)
def test_unknown_names_are_refused(settings, sentence):
    with pytest.raises(UsageError, match=sentence):
        TorchvisionNetwork(**settings)


def test_offline_the_error_names_the_file_its_address_and_its_folder(tmp_path, monkeypatch):
    def unreachable(*_, **__):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", unreachable)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(ShiftbenchError) as caught:
        TorchvisionNetwork("squeezenet1_1", "DEFAULT").network(1000, 3)
    for part in ("squeezenet1_1-b8a52dc0.pth", str(tmp_path / "hub" / "checkpoints"), "https://",
                 "no route to host", "model.weights=PATH"):  # fmt: skip
        assert part in str(caught.value)


def test_local_weights_are_read_offline(tmp_path, monkeypatch):
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    original = models.squeezenet1_1()
    torch.save(original.state_dict(), folder / "squeezenet1_1-b8a52dc0.pth")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    network = TorchvisionNetwork("squeezenet1_1", "DEFAULT").network(10, 3)
    for name, value in original.state_dict().items():
        assert torch.equal(network.state_dict()[name], value), name


def test_weights_that_would_have_to_be_unpickled_are_refused(tmp_path, monkeypatch):
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(models.squeezenet1_1(), folder / "squeezenet1_1-b8a52dc0.pth")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(ShiftbenchError, match="plain tensors"):
        TorchvisionNetwork("squeezenet1_1", "DEFAULT").network(10, 3)
