"""Networks of timm: the error if it is missing, and its preprocessing if it is installed."""

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
def test_preprocessing_is_that_of_timms_own_validation():
    from timm.data import create_transform, resolve_data_config

    recipe = TimmNetwork("resnet50.a1_in1k", "DEFAULT").recipe()
    assert (recipe.size, recipe.resize, recipe.interpolation) == (288, 288, "bicubic")
    for name in (
        "resnet50.a1_in1k",
        "resnet10t.c3_in1k",
        "dm_nfnet_f0.dm_in1k",
    ):
        about = TimmNetwork(name, "DEFAULT")._about().to_dict()
        resize, crop, *_ = create_transform(
            **resolve_data_config(pretrained_cfg=about, use_test_size=True)
        ).transforms
        recipe = TimmNetwork(name, "DEFAULT").recipe()
        sides = (recipe.resize, recipe.resize) if recipe.crop == "squash" else recipe.resize
        assert resize.size == sides
        assert tuple(crop.size) == (recipe.size, recipe.size)


@needs_timm
def test_squashed_and_cut_out_images_are_told_apart():
    assert TimmNetwork("dm_nfnet_f0.dm_in1k", "DEFAULT").recipe().crop == "squash"
    assert TimmNetwork("resnet50.a1_in1k", "DEFAULT").recipe().crop == "center"


@needs_timm
def test_borders_that_timm_adds_are_warned_of(package_log):
    recipe = TimmNetwork("volo_d4_448.sail_in1k", "DEFAULT").recipe()
    assert (recipe.size, recipe.resize) == (448, 448)
    assert "center, 448 px of 389" in package_log.text


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
def test_unknown_names_are_refused(settings, sentence):
    with pytest.raises(UsageError, match=sentence):
        TimmNetwork(**settings)
