"""One run over several processes: the numbers of one, each image once, one voice."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from shiftbench.data import shapes
from shiftbench.errors import UsageError
from shiftbench.predict.engine import Options, predict
from shiftbench.predict.pixel_model import PixelModel
from shiftbench.prediction_table import PredictionTable
from shiftbench.runtime import devices
from shiftbench.runtime.distributed import World, world
from shiftbench.runtime.distributed.sync_batch_norm import WholeBatchNorm, whole_batches
from shiftbench.runtime.distributed.team import Team
from shiftbench.shift.camera import Camera
from shiftbench.shift.circular import Circular

pytestmark = pytest.mark.slow  # real runs, one after the other

TORCHRUN = ("torch.distributed.run", "--nproc-per-node", "2")
TOLD = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")

# Rounding: float32 adds in another order, and three steps of training carry it on. Measured
# 3e-9 in the metrics, 8e-8 in the probabilities, 1e-5 in the weights.
ROUNDING = 1e-5


def start(*arguments, cwd, timeout=200):
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=cwd,
        env={**os.environ, "COLUMNS": "80", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(cwd)},
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def said(done):
    """The lines that shiftbench said about a failure; torchrun adds its own summary."""
    return [line for line in done.stderr.splitlines() if line.startswith("shiftbench: ")]


def settings(tiny):
    """A run with BatchNorm and augmentation, whose images and batches are no even numbers."""
    changed = ("data.test_images", "train.epochs", "train.batch_size")
    kept = [item for item in tiny if not item.startswith(changed)]
    return [*kept, "data.test_images=25", "train.epochs=1", "train.batch_size=33", "augment=crop",
            "pool=blur", "augment.max_shift=2"]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def one(folder, tiny):
    done = start("shiftbench", *settings(tiny), "out=one", cwd=folder)
    assert done.returncode == 0, done.stderr
    [run] = (folder / "one" / "runs").iterdir()
    return run


@pytest.fixture(scope="module")
def two(folder, tiny):
    done = start(*TORCHRUN, "-m", "shiftbench", *settings(tiny), "out=two", cwd=folder)
    assert done.returncode == 0, done.stderr
    [run] = (folder / "two" / "runs").iterdir()
    return run, done


def files(run):
    return {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}


def test_two_processes_write_what_one_writes(one, two):
    run, done = two
    assert run.name == one.name
    assert files(run) == files(one)
    assert json.loads((run / "status.json").read_text())["state"] == "done"
    assert json.loads((run / "provenance.json").read_text())["processes"] == 2
    assert json.loads((one / "provenance.json").read_text())["processes"] == 1
    assert done.stdout.count("consistency") == 6  # one table, not two
    assert done.stderr.count("epoch   1") == 1
    assert "Warning" not in done.stderr


def test_two_processes_measure_the_same_numbers(one, two):
    first, second = (pd.read_csv(run / "metrics.csv") for run in (one, two[0]))
    numbers = first.select_dtypes("number").columns
    assert np.allclose(first[numbers], second[numbers], rtol=0, atol=ROUNDING, equal_nan=True)
    pd.testing.assert_frame_equal(first.drop(columns=numbers), second.drop(columns=numbers))
    rows = [pd.read_csv(run / "train.csv").iloc[0] for run in (one, two[0])]
    for column in ("train_loss", "train_accuracy", "val_accuracy", "lr"):
        assert rows[0][column] == pytest.approx(rows[1][column], abs=ROUNDING)


@pytest.mark.parametrize("protocol", ["circular", "translate"])
def test_every_image_gets_the_same_views_and_the_same_answers(one, two, protocol):
    first, second = (
        PredictionTable.load(run / "predictions" / f"{protocol}.npz") for run in (one, two[0])
    )
    for name in ("shifts", "labels", "sampled", "previous", "top1"):
        assert np.array_equal(getattr(first, name), getattr(second, name)), name
    assert np.allclose(first.p_true, second.p_true, rtol=0, atol=ROUNDING)
    assert first.meta == second.meta


def test_a_sweep_skips_what_is_done_and_outlives_a_failure(folder, two, tiny):
    run, _ = two
    before = (run / "metrics.csv").stat().st_mtime_ns
    command = (*TORCHRUN, "-m", "shiftbench", "-m", *settings(tiny), "model.depth=7,8", "out=two")
    done = start(*command, cwd=folder)
    assert done.returncode == 1
    assert "job 1 of 2 failed: model.depth=7" in done.stderr
    assert "2 jobs: 1 done before, 1 failed" in done.stderr
    assert (run / "metrics.csv").stat().st_mtime_ns == before


FAILING_POOL = """
import os
from torch import nn

class Failing(nn.AvgPool2d):
    '''Fails in the second epoch, in one process only.'''

    def __init__(self, channels, stride=2, padding="zeros"):
        super().__init__(stride)
        self.steps = 0

    def forward(self, x):
        self.steps += self.training
        if self.steps > 3 and os.environ.get("RANK") == "1":
            raise ZeroDivisionError("no more")
        return super().forward(x)
"""


def test_one_failure_ends_all_with_one_sentence_and_one_process_goes_on(tmp_path, tiny):
    (tmp_path / "failing.py").write_text(FAILING_POOL)
    (tmp_path / "mine" / "pool").mkdir(parents=True)
    (tmp_path / "mine" / "pool" / "failing.yaml").write_text(
        "# Fails\n_target_: failing.Failing\n_partial_: true\n"
    )
    few = [item for item in settings(tiny) if not item.startswith("shift.translate")]
    command = ("--config-dir", "mine", *few, "pool=failing", "train.epochs=2", "shift=circular")
    done = start(*TORCHRUN, "-m", "shiftbench", *command, cwd=tmp_path)
    assert done.returncode == 1
    assert said(done) == ["shiftbench: ZeroDivisionError: no more (rank 1 of 2)"]
    assert "traceback : ZeroDivisionError: no more" in done.stderr  # in torchrun's summary
    [run] = tmp_path.glob("outputs/runs/*")
    status = json.loads((run / "status.json").read_text())
    assert status["state"] == "failed"
    assert "no more" in status["error"]
    assert "in forward" in (run / "run.log").read_text()
    again = start("shiftbench", *command, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "continuing after epoch 1 of 2" in again.stderr


def test_a_wrong_setting_is_said_once(tmp_path):
    done = start(*TORCHRUN, "-m", "shiftbench", "pool=blurr", cwd=tmp_path)
    assert done.returncode != 0
    [sentence] = said(done)
    assert "did you mean 'blur'" in sentence


TWO_GPUS = pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=TWO_GPUS)])
def test_training_and_batch_norm_are_exact_in_float64(tmp_path, device):
    script = Path(__file__).with_name("in_two_processes.py")
    done = start(*TORCHRUN, str(script), str(tmp_path), device, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "all the same\n"


@pytest.mark.parametrize(("device", "kind"), [("cpu", WholeBatchNorm), ("cuda", nn.SyncBatchNorm)])
def test_batch_norm_is_exchanged_and_put_back_with_its_own_parameters(device, kind):
    model = nn.Sequential(nn.BatchNorm2d(3), nn.BatchNorm2d(4, affine=False, momentum=None))
    norms, state = list(model), dict(model.state_dict(keep_vars=True))
    with whole_batches(model, torch.device(device)):
        assert [type(module) for module in model] == [kind, kind]
        assert [module.momentum for module in model] == [0.1, None]
        shared = model.state_dict(keep_vars=True)
        assert list(shared) == list(state)
        assert all(shared[key] is value for key, value in state.items())
        model.eval()
    assert list(model) == norms
    assert not any(module.training for module in model)


@pytest.mark.parametrize("protocol", [Circular(draws=4, steps=2), Camera(sampling="draws")])
def test_the_parts_of_a_table_joined_are_the_table(protocol):
    data = shapes.load(16, 20, 11)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(784, data.num_classes))
    network = PixelModel(model.eval(), data.mean, data.std, torch.device("cpu"))
    parts = [
        predict(network, data.test, data.image_shape, protocol, Options("direct"), part=part)
        for part in (range(4), range(4, 5), range(5, 11))
    ]
    joined = PredictionTable.joined(parts)
    whole = predict(network, data.test, data.image_shape, protocol, Options("direct"))
    assert joined.meta == whole.meta
    for name in ("shifts", "labels", "previous", "sampled"):
        assert np.array_equal(getattr(joined, name), getattr(whole, name)), name
    assert np.allclose(joined.p_true, whole.p_true, rtol=0, atol=1e-6)
    assert np.allclose(joined.logit_scale, whole.logit_scale, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("count", "size"), [(25, 2), (7, 3), (2, 5), (0, 2)])
def test_shares_cover_everything_once(count, size):
    members = [Team() for _ in range(size)]
    for rank, member in enumerate(members):
        member.rank, member.size = rank, size
    assert [index for member in members for index in member.share(count)] == list(range(count))


def pretend(monkeypatch, **values):
    for key in TOLD:
        monkeypatch.setenv(key, str(values.get(key, 1)))


def test_what_torchrun_sets_makes_a_team_and_nothing_less_does(monkeypatch):
    for key in TOLD:
        monkeypatch.delenv(key, raising=False)
    monkeypatch.setenv("WORLD_SIZE", "8")
    assert world() == World()
    assert world().is_first
    pretend(monkeypatch, WORLD_SIZE=8, RANK=3, LOCAL_WORLD_SIZE=4, LOCAL_RANK=2)
    assert world() == World(3, 8, 2, 4)
    assert not world().is_first


def test_each_process_takes_a_device_of_its_own(monkeypatch):
    pretend(monkeypatch, WORLD_SIZE=2, LOCAL_WORLD_SIZE=2, LOCAL_RANK=1)
    assert devices.pick_device("cpu") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for name in ("auto", "cuda"):
        assert devices.pick_device(name) == torch.device("cuda:1")
    with pytest.raises(UsageError, match="device=cuda:0 is one device for 2 processes"):
        devices.pick_device("cuda:0")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UsageError, match="2 processes on a machine with 1 GPUs"):
        devices.pick_device("auto")
