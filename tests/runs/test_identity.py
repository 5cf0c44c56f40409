"""What makes two runs share one training."""

import functools

import pytest
import torch
from hydra import compose, initialize_config_dir

from shiftbench.experiment import build
from shiftbench.runs.identity import Identity, counting
from shiftbench.settings.hydra_patches import VERSION_BASE
from shiftbench.settings.labels import names
from shiftbench.settings.schema import CONFIG_DIR, register

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

    return functools.cache(of)  # composing is most of the time of these tests


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


# Run id and training id as commit 2bdbadb computed them: classes may move to other
# modules and settings to other nodes, finished runs are found again.
EARLIER = [
    ("seed=0", "5771cf58", "a3b67cd9"),
    ("model=resnet pool=aps padding=circular", "2a039a22", "c7a49ebf"),
    ("model=linear pool=ideal", "ebdd57a6", "3b2a011f"),
    ("pool=blur pool.filter_size=5 augment=shift", "b5daaf7a", "9887ede9"),
    ("pool=avg augment=crop", "4228c591", "5201a187"),
    ("pool=stride augment=full", "d10cab7c", "ca561a20"),
    ("pool=global head=gmp", "95cb61d3", "b658a0ca"),
    ("head=pyramid", "d1b6bb29", "017a1bba"),
    ("head=flatten seed=3", "63009457", "1069de70"),
    ("data=cifar10 shift=[circular,crop,embed,translate]", "676662f7", "9a55b1f9"),
    ("data=cifar100 shift=[zhang2019,chaman2021,michaeli2023_half]", "2f694949", "a771878b"),
    ("data=mnist shift=[subpixel,camera,rescale]", "df21b205", "1c8f98b7"),
    ("model=torchvision pool=native", "04267697", "06b5ee93"),
    ("model=timm pool=blur", "b484fcab", "bb3de255"),
    ("train.lr=0.2 train.momentum=0.8 train.weight_decay=0.001", "18e08736", "c8a1858d"),
    ("shift=[saha2024,rojas2022,hendrycks2019,zou2020] data.size=48", "bb20810c", "e5447d3b"),
    ("experiment=smoke", "3d99938a", "3b541eea"),
    ("experiment=azulay_weiss", "351d9fdd", "8f5cdc1a"),
]


def test_threads_are_no_part_of_an_identity(identity):
    assert identity("threads=2") == identity()


def test_anchoring_makes_another_run_and_its_default_none(identity):
    plain = identity("model=timm", "pool=native")
    assert "model.anchor" not in plain.settings
    assert identity("model=timm", "pool=native", "model.anchor=false") == plain
    anchored = identity("model=timm", "pool=native", "model.anchor=true")
    assert anchored.settings["model.anchor"] is True
    assert anchored.run_id != plain.run_id
    assert anchored.train_id != plain.train_id


def test_another_precision_of_measuring_is_another_run_of_the_same_training(identity):
    plain, rounded = identity(), identity("measure.precision=bf16")
    assert "measure.precision" not in plain.settings
    assert rounded.settings["measure.precision"] == "bf16"
    assert rounded.config_id != plain.config_id
    assert rounded.train_id == plain.train_id


@pytest.mark.parametrize(
    ("precision", "run", "training"),
    [("bf16", "ecca1d0e", "5cede19a"), ("tf32", "df6376ec", "00916c6b")],
)
def test_what_was_measured_as_it_was_trained_is_found_again(identity, precision, run, training):
    """As commit 65cc483 computed them, where the precision of training was that of measuring."""
    earlier = identity(f"precision={precision}", f"measure.precision={precision}")
    assert (earlier.run_id[-8:], earlier.train_id[-8:]) == (run, training)
    today = identity(f"precision={precision}")
    assert today.run_id[-8:] != run
    assert today.settings["measure.precision"] == "fp32"
    assert today.train_id[-8:] == training


@pytest.mark.parametrize(("words", "run", "training"), EARLIER)
def test_a_run_of_an_earlier_layout_is_found_again(identity, words, run, training):
    found = identity(*words.split(" "))
    assert (found.run_id.rpartition("-")[2], found.train_id.rpartition("-")[2]) == (run, training)


@pytest.mark.parametrize("infer", ["average", "phases", "canonical", "crop_selection"])
def test_a_test_time_wrapper_is_another_run_of_the_same_training(identity, infer):
    plain, wrapped = identity(), identity(f"infer={infer}")
    assert identity("infer=single") == plain
    assert wrapped.run_id != plain.run_id
    assert wrapped.config_id != plain.config_id
    assert wrapped.train_id == plain.train_id


ADDED = [
    ("pool=blur", "pool.taps=null"),
    ("pool=blur", "pool.gain=1.0"),
    ("pool=blur", "pool.max_first=null"),
    ("pool=aps", "pool.max_first=null"),
    ("model=resnet", "model.placement=after"),
    ("pool=max", "activation=relu"),
]


@pytest.mark.parametrize(("words", "added"), ADDED)
def test_a_setting_that_was_added_later_keeps_the_ids_of_its_earlier_value(identity, words, added):
    plain, stated = identity(*words.split(" ")), identity(*words.split(" "), added)
    assert (stated.run_id, stated.train_id) == (plain.run_id, plain.train_id)
    assert added.partition("=")[0] not in plain.settings


@pytest.mark.parametrize(
    "changed",
    ["pool.taps=haar", "pool.gain=2", "pool.max_first=false", "model.placement=before",
     "activation=gelu"],
)  # fmt: skip
def test_another_value_of_it_is_another_run(identity, changed):
    assert identity("pool=blur", changed).run_id != identity("pool=blur").run_id


def test_a_third_party_option_has_had_its_settings_all_along(composed):
    """A user's class may have a setting of the same name, with another earlier value."""
    config = composed("pool=blur")
    config.pool._target_ = "torch.nn.Identity"
    assert counting(config)["pool.gain"] == 1
