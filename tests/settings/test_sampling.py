"""The sampling node and its earlier keys: one run, whichever are typed, of one id."""

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from shiftbench.errors import UsageError
from shiftbench.experiment import build
from shiftbench.runs.identity import Identity
from shiftbench.settings.labels import names
from shiftbench.settings.sampling import TARGETS, nested_sampling
from shiftbench.settings.schema import CONFIG_DIR, register
from shiftbench.shift import PeerSampling, Sampling
from shiftbench.shift.circular import Circular
from shiftbench.shift.embed import Embed

CHOICES = {"data": "shapes", "model": "vgg", "pool": "max", "head": "gap", "augment": "none",
           "train": "quick"}  # fmt: skip
MINE = """# @package shift.mine
# Windows
_target_: shiftbench.shift.crop.Crop
margin: 3
end: true
base: centre
sampling: path
draws: 32
steps: 2
seed: 0
path: horizontal
peer: null
batch: null
"""
STUDY = """# @package _global_
# A study
defaults:
  - override /shift: [hendrycks2019, rescale, mine]
shift:
  hendrycks2019: {sampling: draws, draws: 4}
  rescale: {steps: 3}
  mine: {steps: 3}
"""
MINE_NESTED = """# @package shift.mine
# Windows
_target_: shiftbench.shift.crop.Crop
margin: 3
end: true
base: centre
sampling: {mode: path, draws: 32, steps: 2, seed: 0, path: horizontal, peer: null, batch: null}
"""
STUDY_NESTED = """# @package _global_
# A study
defaults:
  - override /shift: [hendrycks2019, rescale, mine]
shift:
  hendrycks2019: {sampling: {mode: draws, draws: 4}}
  rescale: {steps: 3}
  mine: {sampling: {steps: 3}}
"""
# The hash in the run's id, by the version before there was a node (2bdbadb).
EARLIER = [
    ("5771cf58", [], []),
    (
        "69faba8a",
        ["shift=[hendrycks2019]", "shift.hendrycks2019.sampling=draws",
         "shift.hendrycks2019.steps=3"],
        ["shift=[hendrycks2019]", "shift.hendrycks2019.sampling.mode=draws",
         "shift.hendrycks2019.sampling.steps=3"],
    ),
    (
        "9b1055b5",
        ["shift=[zhang2019]", "shift.zhang2019.sampling=peer", "shift.zhang2019.batch=16"],
        ["shift=[zhang2019]", "shift.zhang2019.sampling={mode:peer,batch:16}"],
    ),
    ("05917d2a", ["shift=[rescale]", "shift.rescale.steps=3"], None),
    ("3d99938a", ["experiment=smoke"], None),
    ("351d9fdd", ["experiment=azulay_weiss"], None),
    ("10100867", ["experiment=photographer"], None),
    ("3fbbb104", ["experiment=azulay_weiss_imagenet"], None),
    ("c22d35a9", ["shift=[mine]"], None),
    (
        "2a15b544",
        ["shift=[mine]", "shift.mine.sampling=draws", "shift.mine.draws=7"],
        ["shift=[mine]", "shift.mine.sampling.mode=draws", "shift.mine.sampling.draws=7"],
    ),
    ("ef373253", ["experiment=e"], None),
    ("a43601a9", ["experiment=e", "shift.hendrycks2019.sampling=path", "shift.mine.steps=1"], None),
]  # fmt: skip


def folder(place, protocol, study):
    for group, name, text in (("shift", "mine", protocol), ("experiment", "e", study)):
        (place / group).mkdir(parents=True)
        (place / group / f"{name}.yaml").write_text(text)
    return place


@pytest.fixture(scope="module")
def composed(tmp_path_factory):
    register()
    places = {
        "earlier": folder(tmp_path_factory.mktemp("earlier"), MINE, STUDY),
        "nested": folder(tmp_path_factory.mktemp("nested"), MINE_NESTED, STUDY_NESTED),
    }
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        yield lambda spelling, *overrides: compose(
            "config", [f"hydra.searchpath=[file://{places[spelling]}]", *overrides]
        )


def hashed(config):
    return Identity.of(config, names(config, CHOICES, [CONFIG_DIR])).run_id.rpartition("-")[2]


@pytest.mark.parametrize("spelling", ["earlier", "nested"])
@pytest.mark.parametrize(("known", "flat", "nested"), EARLIER, ids=[row[0] for row in EARLIER])
def test_both_spellings_are_the_run_that_the_earlier_version_made(
    composed, spelling, known, flat, nested
):
    first = composed(spelling, "head=gap", *flat)
    assert hashed(first) == known
    if nested is not None:
        again = composed(spelling, "head=gap", *nested)
        assert again == first
        assert hashed(again) == known


def test_a_file_that_names_a_mode_leaves_the_rest_of_a_preset(composed):
    given = composed("earlier", "experiment=e").shift.hendrycks2019.sampling
    assert given == {"mode": "draws", "draws": 4, "steps": 15, "seed": 0, "path": "horizontal",
                     "peer": None, "batch": None}  # fmt: skip


def test_a_protocol_is_made_from_either(composed):
    flat = composed("earlier", "shift=[embed]", "shift.embed.sampling=draws", "shift.embed.draws=4")
    nested = composed("nested", "shift=[embed]", "shift.embed.sampling={mode:draws,draws:4}")
    expected = Embed(sampling=Sampling("draws", draws=4))
    assert build.protocols(flat)["embed"] == build.protocols(nested)["embed"] == expected


def test_the_configuration_that_an_earlier_run_kept_is_read():
    node = {"_target_": "shiftbench.shift.circular.Circular", "max_shift": 2, "sampling": "draws",
            "draws": 4, "steps": 0, "seed": 3, "path": "vertical", "offsets": None, "peer": None,
            "batch": None}  # fmt: skip
    [made] = build.protocols(OmegaConf.create({"shift": {"circular": node}})).values()
    assert made == Circular(2, PeerSampling("draws", draws=4, steps=0, seed=3, path="vertical"))


def test_python_takes_the_earlier_arguments_too():
    assert Circular(sampling="draws", draws=4) == Circular(sampling=PeerSampling("draws", draws=4))
    assert Circular(None, "all").sampling.mode == "all"
    assert Embed(sampling={"mode": "path"}, steps=2).sampling == Sampling("path", steps=2)
    with pytest.raises(TypeError, match="peer"):
        Embed(peer="zhang2019")


def test_keys_of_others_are_their_own():
    node = OmegaConf.create({"_target_": "mine.Protocol", "sampling": "draws", "steps": 2})
    assert nested_sampling(node) is node
    rescale = OmegaConf.create({"_target_": "shiftbench.shift.rescale.Rescale", "steps": 2})
    assert nested_sampling(rescale) is rescale


def test_every_protocol_with_a_sampling_node_is_known_by_its_earlier_keys():
    nodes = [OmegaConf.load(path) for path in (CONFIG_DIR / "shift").glob("*.yaml")]
    # These came with the node, so they have no earlier keys.
    later = {
        "shiftbench.shift.rotate.Rotate",
        "shiftbench.shift.rotate_translate.RotateTranslate",
        "shiftbench.shift.zoom.Zoom",
        "shiftbench.shift.resolution.Resolution",
    }
    assert {node._target_ for node in nodes if "sampling" in node} == TARGETS | later


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("shift.circular.draws=1", "draws=1 is too few"),
        ("shift.circular.draws=some", "draws=some does not fit; it takes a whole number"),
        ("shift.circular.sampling=some", "auto, all, draws, path, peer"),
        ("+shift.circular.sampling.drawz=2", r"sampling.drawz is not a setting .*'draws'"),
    ],
)
def test_a_wrong_value_is_refused_in_a_sentence(composed, override, sentence):
    with pytest.raises(UsageError, match=sentence):
        build.protocols(composed("nested", "shift=[circular]", override))
