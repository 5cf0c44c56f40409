"""Networks by their dotted names: found, called, or refused in one sentence."""

import pytest
import torch
from torch import nn

from shiftbench.errors import UsageError
from shiftbench.model.imported import ImportedNetwork, found

MODULE = """
from torch import nn

class Net(nn.Sequential):
    def __init__(self, num_classes=7, width=2):
        super().__init__(nn.Flatten(), nn.Linear(width, num_classes))

    @classmethod
    def from_name(cls, name, **rest):
        return cls(**rest)

def fails():
    raise RuntimeError("no such\\nbird")

def makes_a_function():
    return lambda x: x.mean((2, 3))

number = 3
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "somebodys_nets.py").write_text(MODULE)
    (tmp_path / "broken_nets.py").write_text("import there_is_no_such_module")
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.parametrize(
    ("target", "kwargs", "classes"),
    [
        ("somebodys_nets.Net", None, 5),  # has the argument: gets the data's classes
        ("somebodys_nets.Net", {"num_classes": 4}, 4),
        ("somebodys_nets.Net.from_name", {"name": "a", "width": 3}, 7),
    ],
)
def test_the_target_is_called_with_its_arguments(module, target, kwargs, classes):
    network = ImportedNetwork(target=target, kwargs=kwargs).network(5, 3)
    assert isinstance(network[1], nn.Linear)
    assert network[1].out_features == classes


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({}, r"give model\.target=package\.module\.function"),
        ({"target": "net"}, "not a dotted name"),
        ({"target": "no_such_package.Net"}, "no module no_such_package"),
        ({"target": "broken_nets.Net"}, "there_is_no_such_module"),
        ({"target": "somebodys_nets.Nett"}, "somebodys_nets has no Nett"),
        ({"target": "somebodys_nets.number"}, "cannot be called"),
        ({"target": "torch.nn.Linear", "weights": "best"}, "is not a path"),
    ],
)
def test_what_cannot_be_called_is_refused_at_once(module, settings, sentence):
    with pytest.raises(UsageError, match=sentence):
        ImportedNetwork(**settings)


@pytest.mark.parametrize(
    ("target", "kwargs", "sentence"),
    [
        ("somebodys_nets.fails", None, r"cannot be created \(no such bird\)"),
        ("somebodys_nets.Net", {"depth": 3}, "depth"),
        ("builtins.dict", None, "returned is of type dict"),
    ],
)
def test_a_target_that_makes_no_network_says_why(module, target, kwargs, sentence):
    with pytest.raises(UsageError, match=sentence):
        ImportedNetwork(target=target, kwargs=kwargs).network(5, 3)


def test_a_function_of_images_is_a_network(module):
    network = ImportedNetwork(target="somebodys_nets.makes_a_function").network(5, 3)
    assert network.eval()(torch.zeros(2, 3, 4, 4)).shape == (2, 3)


def test_nested_names_are_found():
    assert found("torch.nn.modules.linear.Linear") is nn.Linear
