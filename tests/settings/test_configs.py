"""Every yaml composes, says what it is, and its target takes exactly its arguments."""

import importlib
import inspect

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from shiftbench.cli.list_command import first_comment
from shiftbench.errors import UsageError
from shiftbench.experiment import build
from shiftbench.runtime.keep_last import KeepLast
from shiftbench.settings.hydra_patches import VERSION_BASE
from shiftbench.settings.schema import CONFIG_DIR, DEFAULT_RATES, GROUPS, check, register

FILES = sorted(CONFIG_DIR.glob("*/*.yaml"))
GIVEN = {  # what the code passes, by group
    "activation": {"channels", "padding"},
    "model": {"num_classes", "in_chans", "image_size", "pool", "head", "padding", "activation"},
    "pool": {"channels", "stride", "padding"},
    "head": {"in_chans", "map_size", "num_classes"},
    "metric": {"table"},
}


@pytest.fixture(scope="module")
def composed():
    register()
    with initialize_config_dir(str(CONFIG_DIR), **VERSION_BASE):
        yield lambda *overrides: compose("config", list(overrides))


def override(path):
    group = path.parent.name
    return f"{group}=[{path.stem}]" if group == "shift" else f"{group}={path.stem}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_every_yaml_composes_and_passes_the_checks(composed, path):
    check(composed(override(path)))


@pytest.mark.parametrize("path", FILES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_every_yaml_begins_with_what_it_is(path):
    assert path.parent.name in GROUPS
    assert len(first_comment(path)) > 10
    assert len(first_comment(path)) <= 62  # a line of `shiftbench list` at 80 columns


@pytest.mark.parametrize(
    "path",
    [p for p in FILES if p.parent.name != "experiment" and "_target_" in p.read_text()],
    ids=lambda p: f"{p.parent.name}/{p.stem}",
)
def test_every_yaml_holds_each_argument_with_its_default(path):
    node = OmegaConf.to_container(OmegaConf.load(path))
    module, _, name = node["_target_"].rpartition(".")
    signature = inspect.signature(getattr(importlib.import_module(module), name))
    ours = ("default_head", "match_macs", "defaults", *DEFAULT_RATES)  # read elsewhere
    own = {k: v for k, v in node.items() if not k.startswith("_") and k not in ours}
    expected = {
        name: list(p.default) if isinstance(p.default, tuple) else p.default
        for name, p in signature.parameters.items()
        if name not in GIVEN.get(path.parent.name, ())
    }
    assert own.keys() == expected.keys()
    if path.parent.name == "shift" and module.rpartition(".")[2] != path.stem:
        return  # a preset: the same arguments with a publication's values
    for key, value in own.items():
        if not isinstance(value, dict):
            assert value == expected[key], key


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("padding=zero", r"padding=zero is not known \(did you mean 'zeros'\?\)"),
        ("precision=fp16", "fp32, tf32, bf16"),
        ("device=gpu", "auto, cpu, cuda"),
        ("seed=-1", "seed=-1 is out of range"),
        ("threads=0", "threads=0 is out of range; allowed: 1 to [0-9]+"),
        ("threads=1000000", "threads=1000000 is out of range"),
        ("train.lr=nan", "train.lr=nan is out of range"),
        ("train.batch_size=1", "train.batch_size=1"),
        ("train.schedule=step", "onecycle, cosine"),
        ("measure.resamples=1", "measure.resamples=1"),
        (
            "measure.precision=fp16",
            "measure.precision=fp16 is not known",
        ),
        ("measure.batch_size=0", "measure.batch_size=0 is not a number of views"),
        ("measure.batch_size=2.5", "give a whole number from 1 to 65536, or auto"),
        ("measure.batch_size=atuo", "measure.batch_size=atuo is not"),
        ("measure.batch_size=true", "measure.batch_size=true is not"),
    ],
)
def test_values_out_of_range_are_refused_in_a_sentence(composed, given, sentence):
    with pytest.raises(UsageError, match=sentence):
        check(composed(given))


@pytest.mark.parametrize("given", ["auto", "1", "65536", "'256'"])
def test_views_at_once_are_a_number_or_auto(composed, given):
    check(composed(f"measure.batch_size={given}"))


def test_no_protocol_leaves_nothing_to_measure(composed):
    with pytest.raises(UsageError, match="nothing to measure"):
        check(composed("shift=[]"))


def test_jobs_that_share_their_data_load_it_once(composed):
    small = ("data.size=16", "data.train_images=40", "data.test_images=10")
    kept = KeepLast()
    first = build.dataset(composed(*small, "pool=max"), kept)
    assert build.dataset(composed(*small, "pool=blur"), kept) is first
    assert build.dataset(composed(*small, "data.clutter=0.5"), kept) is not first
