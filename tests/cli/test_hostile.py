"""Hostile command lines that ``benchmarks/fuzz.py`` found wanting, and what is said to them now."""

import sys

import hydra
import pytest
import torch
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from shiftbench.errors import ShiftbenchError, UsageError, printable
from shiftbench.experiment import build
from shiftbench.launch.hydra_errors import explain, refuse
from shiftbench.settings.hydra_patches import VERSION_BASE
from shiftbench.settings.labels import Names
from shiftbench.settings.schema import CONFIG_DIR, check, register
from shiftbench.settings.validation import check_arguments
from shiftbench.shift.peer import PEERS

SMALL = ("data.size=16", "data.train_images=40", "data.test_images=10", "model.width=2")
NAMES = Names("", "shapes", "vgg", "max", "flatten", "none", "none")
LONG = "x" * 5000
INTERNALS = ("Error", "full_key", "object_type", "Traceback", "not supported", "DictConfig",
             "ListConfig", "unexpected keyword", "NoneType", "https://")  # fmt: skip


def answer(*arguments):
    """What is said to a command line, up to its network being made; None where all is well."""
    small = [item for item in SMALL if "data=" not in " ".join(arguments) or "data." not in item]
    given = {item.partition("=")[0] for item in arguments}
    line = [*(item for item in small if item.partition("=")[0] not in given), *arguments]
    try:
        refuse(line)
        config = composed(line)
        check(config)
        build.protocols(config)
        build.augmentation(config)
        for protocol in build.protocols(config).values():
            protocol.plan(10, (16, 16))
        build.model(config, NAMES, build.dataset(config))
    except ShiftbenchError as error:
        return str(error)
    return None


def composed(line):
    register()
    GlobalHydra.instance().clear()
    try:
        with hydra.initialize_config_dir(str(CONFIG_DIR), **VERSION_BASE):
            return hydra.compose("config", line)
    except Exception as error:
        sentence = explain(error, line)
        if sentence is None:
            raise
        raise UsageError(sentence) from error


FOUND = [
    # options and keys
    (["data.limit_test=64"], "data=shapes has no setting 'limit_test'; data=cifar10, cifar100"),
    (["shift.crop.margin=3"], "shift=[circular,translate] does not have crop"),
    (["model=resnet", "model.downsamplings=2"], "model=resnet has no setting 'downsamplings'"),
    (["head.levels=[1]"], "head=null has no setting 'levels'; head=pyramid has it"),
    (["experiment=nosuch"], "experiment=nosuch is not known; allowed: azulay_weiss, "),
    (["shift=7"], "'shift=7' does not name an option of shift"),
    (["data=-inf"], "'data=-inf' does not name an option of data"),
    (["data=null"], "'data=null' does not name an option of data"),
    (["pool=../model/vgg"], "pool.default_head is not a setting"),
    (["~data"], "'data.size' is set, but data is taken away"),
    (["+x=3"], "x is not a setting"),
    (["++lrr=1"], "lrr is not a setting"),
    (["mdoel=vgg"], "did you mean 'model'"),
    (["+shift.mine=3"], "shift.mine is not an option of shift"),
    (["+model.foo=1"], "model.foo is not a setting of shiftbench.model.vgg.VGG"),
    (["+pool.stride_=2"], "(did you mean 'stride'?)"),
    # what Hydra cannot read
    (["pool=["], "cannot be read as key=value"),
    (["seed=${a"], "cannot be read as key=value"),
    (["seed=${nosuch}"], "seed cannot be resolved"),
    (["pool=blur", "pool.pad=${oc.env:NOSUCH}"], "NOSUCH' not found"),
    (["pool=blur", "pool.pad=${now:}"], "pool.pad cannot be resolved; give it a plain value"),
    (["out=${out}"], "out cannot be resolved"),
    (["out=${shift}"], "out cannot be resolved"),
    (["data.size=???"], "data.size has no value"),
    # types
    (["progress=a/b"], "progress=a/b does not fit; it takes true or false"),
    (["checkpoint={a: null}"], "it takes text"),
    (["train.lr=[1]"], "it takes a number"),
    (["data.size=abc"], "data.size=abc does not fit; it takes a whole number"),
    (["data.size=1e3"], "it takes a whole number"),
    (["data.test=3"], "it takes a mapping"),
    (["shift.circular.draws={a: 1}"], "it takes a whole number"),
    (["shift.circular.path=[1]"], "it takes text"),
    (["shift=crop", "shift.crop.margin=[1]"], "it takes a whole number or null"),
    (["shift=crop", "shift.crop.end=3"], "it takes true or false"),
    (["pool=aps", "pool.filter_size=a_file"], "it takes a whole number"),
    (["pool=aps", "pool.norm=nan"], "it takes a number"),
    (["augment=full", "augment.scale=[a,b]"], "it takes a list of numbers"),
    (["head=pyramid", "head.levels=2"], "it takes a list of whole numbers"),
    (["model.width=true"], "it takes a whole number"),
    (["model.default_head=[1,2]"], None),
    # null, true and false as they are typed
    (["seed=null"], "seed=null does not fit; give a value, or leave it out"),
    (["device=null"], "device=null does not fit; give a value, or leave it out"),
    (["measure.engine=null"], "measure.engine=null does not fit; give a value, or leave it out"),
    (["measure.batch_size=null"], "measure.batch_size=null is not a number of views"),
    (["measure.batch_size=true"], "measure.batch_size=true is not a number of views"),
    (["measure.batch_size=False"], "measure.batch_size=false is not a number of views"),
    (["train.capture=null"], "train.capture=null is not known; allowed: auto, true, false"),
    (["train.capture=true"], None),
    # launchers
    (["hydra/launcher=foo"], "hydra/launcher=foo is not known; allowed: basic, joblib, "
     "submitit_local, submitit_slurm"),
    (["hydra/launcher=jobilb"], "did you mean 'joblib'?"),
    (["hydra.launcher.n_jobs=2"],
     "hydra.launcher.n_jobs belongs to a launcher; add hydra/launcher=joblib"),
    (["hydra.launcher.partition=gpu"], "add hydra/launcher=submitit_slurm"),
    (["hydra.launcher.foo=2"], "'hydra.launcher.foo' is not a setting"),
    # ranges
    (["model.width=1000000000"], "allowed: 1 to 4096"),
    (["model=resnet", "model.width=0"], "allowed: 1 to 4096"),
    (["data.train_images=1000000000000"], "from 10 to 10000000"),
    (["data.size=1000000000"], "from 16 to 4096"),
    (["data.size=4096", "data.train_images=10000000"], "GB of memory"),
    (["data.data_seed=9223372036854775808"], "it takes a whole number"),
    (["measure.resamples=1000000000000"], "allowed: 2 to 1000000"),
    (["train.batch_size=1000000000"], "allowed: 2 to 65536"),
    (["seed=9223372036854775808"], "allowed: 0 to 2147483647"),
    (["shift=chaman2021", "shift.chaman2021.seed=-1"], "allowed: 0 to 4294967295"),
    (["shift.translate.max_shift=1000000000"], "allowed: 1 to 15"),
    (["shift=embed", "shift.embed.canvas=1000000000"], "from 1 to 4096"),
    (["shift=translate", "shift.translate.sampling=path", "shift.translate.steps=1000000000"],
     "does not fit its offsets"),
    (["shift=camera", "shift.camera.max_shift=1e308"], "less than 16 px"),
    (["shift=subpixel", "shift.subpixel.offsets=[-1e308,1e308]"], "less than 16 px"),
    (["pool=aps", "pool.filter_size=-1"], "allowed: 1 to 7"),
    (["pool=aps", "pool.norm=1e308"], "allowed: 1 to 100"),
    (["augment=crop", "augment.max_shift=1000000000"], "allowed: 0 to 100000"),
    (["augment=full", "augment.scale=[1]"], "two numbers from 0.01 to 100"),
    (["augment=full", "augment.scale=[1e-300,1e300]"], "two numbers from 0.01 to 100"),
    (["device=cuda:99999999999999999999"], "is not known; allowed: auto"),
    (["device='cuda:\u0663'"], "is not known; allowed: auto"),
    # paths
    (["out="], "out is empty"),
    (["out=' '"], "out is empty"),
    (["out='~nosuchuser/x'"], "is not a path"),
    (["checkpoint=/dev/zero"], "it is not a file"),
    (["checkpoint=/"], "it is not a file"),
    (["data=folder", "data.root=2024"], "data.root=2024"),
    ([f"padding={LONG}"], "…"),
    (["padding=a\x1b[31m\nb"], "a\\x1b[31m\\nb"),
    (["padding=\udcff"], "not text in UTF-8"),
    # what is not for the command line
    (["pool._target_=os.system"], "belongs in a yaml file"),
    (["++pool={_target_: os.system}"], "belongs in a yaml file"),
    (["+data.x={a: 1, _target_: builtins.eval}"], "belongs in a yaml file"),
    (["++model._args_=[1]"], "belongs in a yaml file"),
    (["~pool._target_"], "belongs in a yaml file"),
    (["+pool._partial_.x=1"], "belongs in a yaml file"),
    (["shift=${now:}"], "${now:} cannot be resolved"),
    (["pool._partial_=''"], "belongs in a yaml file"),
    (["+hydra.callbacks.a={_target_: os.system, command: ls}"], "belongs in a yaml file"),
    (["hydra.launcher._target_=os.system"], "belongs in a yaml file"),
    (["hydra.run.dir=../x"], "out=PATH chooses another"),
    (["hydra.sweep.dir=/x"], "out=PATH chooses another"),
    (["hydra.output_subdir=../x"], "out=PATH chooses another"),
    (["hydra/job_logging=default"], "out=PATH chooses another"),
    (["hydra.job.chdir=true"], "out=PATH chooses another"),
    (["--experimental-rerun=x.pickle"], "reads a pickle"),
    (["--nosuch"], "unrecognized arguments: --nosuch; see shiftbench --help"),
    (["--cfg", "nosuch"], "invalid choice"),
    (["seed=0,1", "-m", "--cfg", "job"], "--multirun and --cfg are two commands"),
    (["-sc"], "-sc takes an action"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "words"), FOUND, ids=lambda a: str(a)[:60])
def test_a_hostile_command_line_gets_one_sentence(arguments, words):
    sentence = answer(*arguments)
    if words is None:
        assert sentence is None
        return
    assert sentence is not None
    assert words in sentence
    assert len(sentence.splitlines()) == 1
    assert len(sentence) < 1000
    assert not [word for word in INTERNALS if word in sentence]


def test_a_target_is_refused_before_anything_is_called(tmp_path):
    canary = tmp_path / "canary"
    with pytest.raises(UsageError, match="belongs in a yaml file"):
        refuse([f"++pool={{_target_: os.mkdir, path: {canary}}}"])
    assert not canary.exists()


@pytest.mark.parametrize(
    "arguments",
    [["checkpoint=/a/_target_/b.pt"], ["out=_target_"], ["hydra/launcher=joblib"],
     ["hydra.launcher.n_jobs=2"], ["hydra.verbose=true"], ["-m", "seed=0,1"], ["--cfg", "job"],
     ["-sc", "install=bash"], ["--config-dir", "x", "pool=mine"], ["data.name=größe"]],
    ids=str,
)  # fmt: skip
def test_what_is_harmless_is_not_refused(arguments):
    refuse(arguments)


def test_the_smallest_and_largest_values_are_taken():
    assert answer("model.width=1", "measure.resamples=2", "pool=aps", "pool.norm=100") is None
    assert answer("data.test_images=10", "seed=2147483647", "augment=crop",
                  "augment.max_shift=0") is None  # fmt: skip


def test_a_batch_larger_than_the_data_draws_as_one_batch():
    peer = PEERS["chaman2021"]
    few = peer.replay(10, 10, (5, 5), seed=3)
    assert (peer.replay(10, 10**12, (5, 5), seed=3) == few).all()


def test_someone_elses_constructor_may_be_anything():
    class Unannotated:
        def __init__(self, channels, power=2, **rest):
            pass

    check_arguments("pool", Unannotated, {"power": "abc", "other": [1]})
    check_arguments("pool", torch.nn.Identity, {})
    check_arguments("pool", print, {"sep": 3})
    with pytest.raises(UsageError, match=r"pool\.p0wer is not a setting of .*'power'"):
        check_arguments("pool", Annotated, {"p0wer": 1})
    with pytest.raises(UsageError, match=r"pool\.power=abc does not fit; it takes a number"):
        check_arguments("pool", Annotated, {"power": "abc"})


class Annotated:
    def __init__(self, power: float = 2) -> None:
        pass


def test_a_yaml_that_names_nothing_importable_is_named():
    node = OmegaConf.create({"_target_": "nosuch.Pool"})
    with pytest.raises(UsageError, match=r"pool names nosuch\.Pool .* PYTHONPATH"):
        build.instantiate(node, "pool")
    with pytest.raises(UsageError, match="pool is not an option of pool"):
        build.instantiate(OmegaConf.create({}), "pool")


def test_shown_is_one_short_line():
    assert printable("a\nb\x1b[2J\u202e") == "a\\nb\\x1b[2J\\u202e"
    assert printable("größe 3 px") == "größe 3 px"
    assert len(printable(LONG)) == 121


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["data.limit_test=64"], "data=shapes has no setting 'limit_test'"),
        (["out='~nosuchuser/x'"], "is not a path"),
        (["checkpoint=/dev/zero"], "it is not a file"),
        (["pool._target_=os.getcwd"], "belongs in a yaml file"),
        (["hydra.run.dir=../x"], "out=PATH chooses another"),
        (["jagged", "~nosuchuser"], "give a path without ~"),
        (["-m", "hydra/launcher=foo"], "hydra/launcher=foo is not known; allowed: basic, "),
        (
            ["-m", "hydra/launcher=submitit_slurm", "hydra.launcher.n_jobs=2"],
            "hydra.launcher.n_jobs is not a setting of hydra/launcher=submitit_slurm, but of "
            "hydra/launcher=joblib",
        ),
        (["-m", "experiment=smoke", "scale=foo"], "scale=foo is not known"),
    ],
    ids=lambda a: str(a)[:40],
)
@pytest.mark.skipif(sys.platform == "win32", reason="has no /dev/zero")
def test_through_a_real_process(tmp_path, shiftbench_command, arguments, words):
    done = shiftbench_command(*arguments, cwd=tmp_path, timeout=100)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
