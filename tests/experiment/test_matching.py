"""``model.match_macs``: networks of equal multiply-adds."""

import pytest
import torch
from hydra import compose, initialize_config_dir

from shiftbench.errors import UsageError
from shiftbench.experiment import build
from shiftbench.model.cost import cost
from shiftbench.settings import schema
from shiftbench.settings.hydra_patches import VERSION_BASE
from shiftbench.settings.labels import names

SMALL = ("data.size=16", "data.train_images=20", "data.test_images=10", "train=none")


@pytest.fixture(scope="module")
def make():
    schema.register()
    with initialize_config_dir(str(schema.CONFIG_DIR), **VERSION_BASE):

        def network(*overrides):
            config = compose("config", [*SMALL, *overrides])
            given = dict(one.split("=") for one in overrides if "." not in one.split("=")[0])
            choices = {"data": "shapes", "model": "vgg", "pool": "max", "augment": "none",
                       "train": "none", **given}  # fmt: skip
            labels = names(config, choices, [schema.CONFIG_DIR])
            return build.model(config, labels, build.dataset(config))

        yield network


def macs(network):
    return cost(network, (3, 16, 16)).macs


@pytest.mark.parametrize("model", ["vgg", "resnet"])
def test_a_network_matches_itself(make, model):
    plain = make(f"model={model}", "model.width=6", "pool=blur")
    matched = make(f"model={model}", "model.width=6", "pool=blur", "model.match_macs=blur")
    assert macs(matched) == macs(plain)
    for own, other in zip(matched.parameters(), plain.parameters(), strict=True):
        assert torch.equal(own, other)  # the search draws none of the weights' random numbers


@pytest.mark.slow
@pytest.mark.parametrize(("model", "pool", "other"), [
    ("vgg", "aps", "lps"), ("vgg", "max", "full"), ("resnet", "max", "lps"),
    ("vgg", "max", "stride"),
])  # fmt: skip
def test_no_other_width_is_nearer(make, model, pool, other):
    small = ("model.width=6", f"model={model}", "head=gap")
    padding = "padding=full" if other == "full" else f"pool={other}"
    goal = macs(make(*small, padding))
    found = make(*small, f"pool={pool}", f"model.match_macs={other}")
    gaps = {
        width: abs(macs(make(*small, f"pool={pool}", f"model.width={width}")) - goal)
        for width in range(3, 27)
    }
    assert abs(macs(found) - goal) == min(gaps.values())


def test_another_word_is_refused(make):
    with pytest.raises(UsageError, match=r"match_macs=lp5 is neither a pool nor a padding \(did"):
        make("model.match_macs=lp5")
