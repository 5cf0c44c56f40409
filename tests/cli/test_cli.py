"""The command line, through real processes: sweeps, help, a user's own pool, Ctrl-C."""

import json
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest


@pytest.mark.slow
def test_a_sweep_runs_every_combination(tmp_path, shiftbench_command, tiny):
    rest = [item for item in tiny if "shift." not in item]
    done = shiftbench_command("-m", *rest, "pool=max,stride", "shift=translate", "seed=0,1",
                              cwd=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "outputs" / "runs").iterdir())) == 4
    assert len(list((tmp_path / "outputs" / "sweeps").iterdir())) == 1


def test_list_help_version_and_config_need_no_torch(tmp_path, shiftbench_command):
    for arguments, expected in [
        (["list"], "aps, asap, avg, blur"),
        (["list", "pool"], "Low-pass before subsampling"),
        (["list", "data"], "shapes"),
        (["list", "experiment"], ""),
        (["--help"], "shiftbench model=vgg pool=blur"),
        (["--version"], "shiftbench 0."),
        (["--cfg", "job"], "padding: zeros"),
        (["-sc", "install=bash"], "complete -o nospace"),
    ]:
        done = shiftbench_command(*arguments, cwd=tmp_path, env={"PYTHONPROFILEIMPORTTIME": "1"})
        assert done.returncode == 0, done.stderr
        assert expected in done.stdout
        assert " torch" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_help_is_short_and_names_the_groups(tmp_path, shiftbench_command):
    text = shiftbench_command("--help", cwd=tmp_path).stdout
    assert len(text.splitlines()) <= 45
    assert max(map(len, text.splitlines())) <= 80
    for group in ("data ", "model ", "pool ", "head ", "augment ", "shift ", "train "):
        assert f"\n  {group}" in text
    assert "_target_" not in text


@pytest.mark.slow
def test_a_users_own_pool_needs_no_fork(tmp_path, shiftbench_command, tiny):
    (tmp_path / "mine.py").write_text(
        "from torch import nn\n"
        "class MyPool(nn.AvgPool2d):\n"
        "    def __init__(self, channels, stride=2, padding='zeros', power=1):\n"
        "        super().__init__(stride)\n"
    )
    (tmp_path / "my_configs" / "pool").mkdir(parents=True)
    (tmp_path / "my_configs" / "pool" / "mine.yaml").write_text(
        "# My pool\n_target_: mine.MyPool\n_partial_: true\npower: 1\n"
    )
    environment = {"PYTHONPATH": str(tmp_path)}
    done = shiftbench_command(
        "--config-dir", "my_configs", *tiny, "pool=mine", "pool.power=2", cwd=tmp_path,
        env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    [metrics] = tmp_path.glob("outputs/runs/*/metrics.csv")
    assert set(pd.read_csv(metrics)["pool"]) == {"mine[power=2]"}
    listed = shiftbench_command("list", "pool", "--config-dir", "my_configs", cwd=tmp_path)
    assert "My pool" in listed.stdout


@pytest.mark.slow
def test_ctrl_c_exits_130_and_keeps_what_is_finished(tmp_path, tiny):
    process = subprocess.Popen(
        [sys.executable, "-m", "shiftbench", *tiny, "train.epochs=1000"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # A shell's background jobs ignore Ctrl-C, and so would this process's children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    deadline = time.monotonic() + 100
    while not list(tmp_path.glob("outputs/trained/*/checkpoint.pt")):
        assert time.monotonic() < deadline, process.communicate()
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in stderr
    [run] = tmp_path.glob("outputs/runs/*")
    assert json.loads((run / "status.json").read_text())["state"] == "interrupted"
    assert not list(run.glob(".*.part"))
    assert not (run / "metrics.csv").exists()
