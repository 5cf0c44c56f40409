"""What makes two runs share one training."""

import pytest
import torch
from hydra import compose, initialize_config_dir

from shiftbench import build
from shiftbench.config import CONFIG_DIR, register
from shiftbench.hydra_patches import VERSION_BASE
from shiftbench.identity import Identity
from shiftbench.naming import names

CHOICES = {"data": "shapes", "model": "vgg", "pool": "max", "head": "gap", "augment": "none",
           "train": "quick"}  # fmt: skip
SMALL = ("data.size=16", "data.train_images=40", "data.test_images=20")
TESTED_ELSEWHERE = ("data.test.position=uniform", "data.test.object_size=[0.2,0.35]")


@pytest.fixture(scope="module")
def composed():
    register()
    with initialize_config_dir(str(CONFIG_DIR), **VERSION_BASE):
        yield lambda *overrides: compose("config", list(overrides))


@pytest.fixture(scope="module")
def identity(composed):
    def of(*overrides):
        config = composed("head=gap", *overrides)
        return Identity.of(config, names(config, CHOICES, [CONFIG_DIR]))

    return of


@pytest.mark.parametrize("changes", [*[(change,) for change in TESTED_ELSEWHERE], TESTED_ELSEWHERE])
@pytest.mark.parametrize("law", [(), ("data.position=centred",)])
def test_another_law_of_the_test_scenes_is_another_run_of_the_same_training(identity, law, changes):
    plain, moved = identity(*law), identity(*law, *changes)
    assert moved.run_id != plain.run_id
    assert moved.config_id != plain.config_id
    assert moved.train_id == plain.train_id


def test_another_law_in_training_is_another_training(identity):
    assert identity("data.position=centred").train_id != identity().train_id


def test_the_law_of_the_test_scenes_changes_nothing_that_training_sees(composed):
    plain = build.dataset(composed(*SMALL))
    moved = build.dataset(composed(*SMALL, *TESTED_ELSEWHERE))
    assert torch.equal(plain.train.images, moved.train.images)
    assert torch.equal(plain.val.images, moved.val.images)
    assert torch.equal(plain.train.labels, moved.train.labels)
    assert (plain.mean, plain.std) == (moved.mean, moved.std)
    assert not torch.equal(plain.test.images, moved.test.images)
