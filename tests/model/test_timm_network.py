"""Networks of timm: the sentence where it is missing, and what it says where it is there."""

import importlib.util
import sys

import pytest
import torch

from shiftbench.errors import UsageError
from shiftbench.model.timm_network import TimmNetwork

needs_timm = pytest.mark.skipif(
    importlib.util.find_spec("timm") is None, reason="timm is not installed"
)


def test_a_missing_package_is_one_sentence_with_what_to_type(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UsageError, match=r"pip install 'shiftbench\[timm\]'"):
        TimmNetwork("resnet50")


@needs_timm
def test_preprocessing_is_what_the_tag_says():
    recipe = TimmNetwork("resnet50.a1_in1k", "DEFAULT").recipe()
    assert (recipe.size, recipe.resize, recipe.interpolation) == (224, 235, "bicubic")
    assert recipe.mean == (0.485, 0.456, 0.406)


@needs_timm
def test_a_network_without_weights_takes_the_datas_channels_and_classes():
    network = TimmNetwork("resnet10t").network(num_classes=7, in_chans=1)
    assert network.eval()(torch.zeros(1, 1, 64, 64)).shape == (1, 7)


@needs_timm
@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({}, r"give model\.name=resnet50"),
        ({"name": "resnet51"}, r"did you mean 'resnet\d+"),
        ({"name": "resnet50", "weights": "a1_in1k"}, "DEFAULT, a path, null"),
    ],
)
def test_names_that_there_are_not_are_refused(settings, sentence):
    with pytest.raises(UsageError, match=sentence):
        TimmNetwork(**settings)
