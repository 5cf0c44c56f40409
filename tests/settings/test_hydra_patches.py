"""Every undocumented part of Hydra that the package uses, held against the Hydra installed.

Runs with Hydra 1.3 and with 1.4 (`.ci/run` has the pre-release). Warnings are errors here, so what
Hydra deprecates is found as well.
"""

import argparse
import sys

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.hydra import Hydra
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from shiftbench.errors import UsageError
from shiftbench.experiment import build
from shiftbench.launch import session
from shiftbench.launch.compose_only import composed_only
from shiftbench.launch.hydra_errors import explain, refuse
from shiftbench.launch.rounds import Rounds
from shiftbench.settings import hydra_patches
from shiftbench.settings.schema import CONFIG_DIR, register

STUDY = """# @package _global_
hydra: {mode: MULTIRUN}
study:
  grids:
    one: {pool: "max,blur"}
    two: {pool: "max", padding: "zeros,circular"}
"""


@pytest.fixture
def mine(tmp_path):
    """A folder of the user's own yaml files with a study of two grids."""
    (tmp_path / "mine" / "experiment").mkdir(parents=True)
    (tmp_path / "mine" / "experiment" / "study.yaml").write_text(STUDY)
    return tmp_path / "mine"


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Give Hydra a command line; return the configurations that it calls the job with."""
    register()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    monkeypatch.setenv("SHIFTBENCH_SWEEP", "sweep")

    def run(*arguments, fail=None, planned=None):
        seen = []

        def job(config):
            seen.append(config.copy())
            if fail:
                raise fail

        monkeypatch.setattr(sys, "argv", ["shiftbench", *arguments])
        GlobalHydra.instance().clear()
        with session.opened() as command:
            with hydra_patches.installed(arguments, planned=planned or command.rounds):
                hydra_patches.application(job, CONFIG_DIR)()
            if command.refusal:
                raise command.refusal
        return seen

    return run


@pytest.fixture
def calls(monkeypatch):
    """Count the calls of a method of Hydra."""

    def count(owner, name):
        method, found = getattr(owner, name), []

        def counted(self, *args, **kwargs):
            found.append(1)
            return method(self, *args, **kwargs)

        monkeypatch.setattr(owner, name, counted)
        return found

    return count


def test_a_run_is_composed_once(run, calls):
    compositions = calls(Hydra, "compose_config")
    [config] = run("pool=blur", "seed=3")
    assert (config.seed, config.pool._target_) == (3, "shiftbench.pool.blur.BlurPool2d")
    assert len(compositions) == 1


def test_the_jobs_of_a_sweep_come_in_order_each_composed_once(run, calls):
    compositions = calls(ConfigLoaderImpl, "load_sweep_config")
    seen = run("-m", "padding=zeros,circular", "seed=0,1")
    jobs = [("zeros", 0), ("zeros", 1), ("circular", 0), ("circular", 1)]
    assert [(config.padding, config.seed) for config in seen] == jobs
    assert len(compositions) == 4


def test_batches_of_jobs_may_be_added_while_a_sweep_runs(run):
    more = [[["seed=7"], ["seed=8"]], [["seed=9"]], []]
    seen = run("-m", "seed=0", planned=lambda: Rounds([["seed=0"]], lambda: more.pop(0)))
    assert [config.seed for config in seen] == [0, 7, 8, 9]
    assert more == []


def test_an_experiment_makes_a_sweep_of_its_grids_without_m(run, mine):
    seen = run("--config-dir", str(mine), "experiment=study")
    found = [(config.pool._target_.rpartition(".")[2], config.padding) for config in seen]
    first = [("MaxPool2d", "zeros"), ("BlurPool2d", "zeros")]
    assert found == [*first, ("MaxPool2d", "zeros"), ("MaxPool2d", "circular")]
    [narrowed] = run("--config-dir", str(mine), "experiment=study", "pool=blur")
    assert narrowed.pool._target_ == "shiftbench.pool.blur.BlurPool2d"


def test_one_job_of_an_experiment_runs_alone_when_the_mode_is_typed(run, mine):
    [config] = run("--config-dir", str(mine), "experiment=study", "hydra.mode=RUN", "pool=max")
    assert config.pool._target_ == "shiftbench.pool.max.MaxPool2d"


def test_glob_stands_for_every_option(run):
    seen = run("-m", "head=glob(*)")
    assert len(seen) == len(list((CONFIG_DIR / "head").glob("*.yaml")))


def test_earlier_names_are_read_in_files_and_as_typed(run, mine):
    (mine / "shift").mkdir()
    (mine / "shift" / "mine.yaml").write_text(
        "# @package shift.mine\n_target_: shiftbench.shift.circular.Circular\n"
        "max_shift: 3\nsampling: draws\ndraws: 5\nsteps: 1\n"
    )
    [config] = run("--config-dir", str(mine), "shift=mine", "shift.mine.steps=2")
    assert OmegaConf.to_container(config.shift.mine.sampling) == {
        "mode": "draws",
        "draws": 5,
        "steps": 2,
    }


@pytest.mark.parametrize(
    "arguments",
    [("pool=blur",), ("-m", "padding=zeros,circular", "seed=0,1"), ("experiment=study",)],
)
def test_a_plan_composes_what_would_run_and_writes_nothing(run, mine, tmp_path, arguments):
    arguments = ("--config-dir", str(mine), *arguments)
    before, seen = set(tmp_path.rglob("*")), []

    def visit(config):
        assert "hydra" not in config
        seen.append((list(HydraConfig.get().overrides.task), config))

    own = Hydra.run, Hydra.multirun
    with composed_only(visit):
        assert run(*arguments) == []
    assert set(tmp_path.rglob("*")) == before
    assert (Hydra.run, Hydra.multirun) == own
    expected = run(*arguments)
    assert [config for _, config in seen] == expected
    assert len({str(overrides) for overrides, _ in seen}) == len(expected)


def test_hydra_is_put_back_as_it_was(run):
    before = Hydra.get_mode, vars(hydra_patches._sweeper())["split_arguments"]
    run("-m", "seed=0,1")
    assert (Hydra.get_mode, vars(hydra_patches._sweeper())["split_arguments"]) == before


def test_a_failing_job_is_no_error_of_composition(run, mine):
    with pytest.raises(ValueError, match="a job's own") as raised:
        run("seed=0", fail=ValueError("a job's own"))
    assert explain(raised.value, ["seed=0"]) is None
    (mine / "pool").mkdir()
    (mine / "pool" / "broken.yaml").write_text("a: [")
    arguments = ["--config-dir", str(mine), "pool=broken"]
    with pytest.raises(Exception, match="expected") as raised:
        run(*arguments)
    assert explain(raised.value, arguments) is not None


SENTENCES = {
    "pool=blurr": "pool=blurr is not known (did you mean 'blur'?)",
    "lrr=1": "'lrr' is not a setting (did you mean 'train.lr'?)",
    "train.lr=much": "train.lr=much does not fit; it takes a number",
    "seed=0,1": "seed=0,1 is several values; to run each of them add -m",
    "blur": "'blur' is neither a verb nor key=value",
    "seed=${a": "'seed=${a' cannot be read as key=value",
    "pool.kernl=3": "'pool.kernl' is not a setting",
    "hydra/launcher=joblib2": "joblib2",
}


@pytest.mark.parametrize(("argument", "words"), SENTENCES.items(), ids=str)
def test_what_hydra_refuses_is_one_sentence(run, argument, words):
    with pytest.raises(Exception) as raised:
        run(argument)
    sentence = explain(raised.value, [argument])
    assert words in sentence
    assert "\n" not in sentence


@pytest.mark.parametrize("flag", ["--nosuch", "--experimental-rerun=x.pickle", "--cfg=jobs"])
def test_flags_are_refused_before_hydra_sees_them(flag):
    with pytest.raises(UsageError):
        refuse([flag])
    refuse(["--cfg", "job", "--resolve"])


def test_the_configuration_is_printed(run, capsys):
    assert run("--cfg", "job", "seed=7") == []
    assert "seed: 7\n" in capsys.readouterr().out


@pytest.mark.skipif(not hydra_patches.IS_1_3, reason="Hydra 1.4 sees to it itself")
def test_help_that_is_no_string_passes_the_check_of_python_3_14(monkeypatch):
    add = argparse.ArgumentParser.add_argument

    def check_help(parser, action):
        if action.help is not None:
            "%" in action.help  # noqa: B015 - raises for what is no string

    def checking(parser, *args, **kwargs):
        action = add(parser, *args, **kwargs)
        parser._check_help(action)
        return action

    monkeypatch.setattr(argparse.ArgumentParser, "_check_help", check_help, raising=False)
    monkeypatch.setattr(argparse.ArgumentParser, "add_argument", checking)
    assert hydra_patches.args_parser().parse_args(["--cfg", "job"]).cfg == "job"
    assert argparse.ArgumentParser._check_help is check_help
    with pytest.raises(TypeError):
        get_args_parser()


def test_what_a_yaml_names_is_made_with_all_that_is_in_it():
    pool = {"_target_": "torch.nn.AvgPool2d", "kernel_size": 2}
    made = build.instantiate(
        OmegaConf.create({"_target_": "torch.nn.Sequential", "_args_": [pool]})
    )
    assert made[0].kernel_size == 2
    partial = build.instantiate(OmegaConf.create({**pool, "_partial_": True}))
    assert partial(stride=1).stride == 1


@pytest.mark.parametrize(
    "target", ["os.system", "shiftbench.runtime.devices.os.system", "builtins.eval"]
)
def test_a_yaml_calls_nothing_of_pythons_own(target, tmp_path):
    file = tmp_path / "made"
    node = OmegaConf.create({"_target_": target, "_args_": [f"touch {file}"]})
    with pytest.raises(UsageError, match="cannot make"):
        build.instantiate(node)
    assert not file.exists()
