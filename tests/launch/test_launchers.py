"""Sweeps by the launchers of joblib and submitit: the same results, and their failures."""

import json
import os
import subprocess
import sys
import time

import pandas as pd
import pytest
from sweep_files import DIVERGES, GRID, ONE_THREAD, results_of

LAUNCHERS = [
    ("joblib", "hydra_plugins.hydra_joblib_launcher", ["hydra.launcher.n_jobs=-1"]),
    ("submitit_local", "hydra_plugins.hydra_submitit_launcher", []),
]


@pytest.mark.slow
@pytest.mark.parametrize(("launcher", "module", "more"), LAUNCHERS, ids=lambda x: str(x)[:8])
def test_launchers_leave_the_same_results(
    tmp_path, swept, shiftbench_command, settings, launcher, module, more
):
    pytest.importorskip(module)
    command = ["-m", *settings, "pool=max,stride", "seed=0,1", f"hydra/launcher={launcher}", *more]
    done = shiftbench_command(*command, cwd=tmp_path, env=ONE_THREAD)
    assert done.returncode == 0, done.stderr
    assert "4 jobs: 4 done" in done.stderr
    mine, theirs = results_of(tmp_path), results_of(swept[0])
    # All runs use one thread: with more threads, the order of summation differs.
    pd.testing.assert_frame_equal(mine, theirs)
    again = shiftbench_command(*command, cwd=tmp_path, env=ONE_THREAD)
    assert "4 jobs: 4 done before" in again.stderr


@pytest.mark.slow
def test_a_failure_in_a_parallel_job_is_told(tmp_path, shiftbench_command, settings):
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    done = shiftbench_command(
        "-m",
        *settings,
        *DIVERGES,
        "train.lr=1000,0.1",
        "hydra/launcher=joblib",
        "hydra.launcher.n_jobs=2",
        cwd=tmp_path,
    )
    assert done.returncode == 1
    assert "2 jobs: 1 done, 1 failed" in done.stderr
    assert "the loss became" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Warning" not in done.stderr


def test_no_parallel_jobs_are_refused_and_nothing_is_left(tmp_path, shiftbench_command, tiny):
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    done = shiftbench_command(
        "-m", *tiny, "seed=0,1", "hydra/launcher=joblib", "hydra.launcher.n_jobs=0", cwd=tmp_path
    )
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert line.endswith(
        "hydra.launcher.n_jobs=0 is not a number of jobs; give 1 or more, or -1 for all cores"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_gpu_memory_limits_the_number_of_parallel_jobs(tmp_path, shiftbench_command, tiny):
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!{sys.executable}\nprint('GPU-a1, 8192')\n")
    tool.chmod(0o755)
    done = shiftbench_command(
        "-m", *tiny, "seed=0,1", "hydra/launcher=joblib", "hydra.launcher.n_jobs=-1",
        cwd=tmp_path,
        env={"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "CUDA_VISIBLE_DEVICES": "0"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "hydra.launcher.n_jobs=-1: 1 job at once, one for each 8 GiB" in done.stderr
    jobs = [json.loads(file.read_text()) for file in tmp_path.glob("outputs/sweeps/*/jobs/*")]
    assert len(jobs) == 2
    assert len({job["process"] for job in jobs}) == 1


@pytest.mark.slow
def test_a_parallel_job_that_is_killed_is_told(tmp_path, shiftbench_command, settings):
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    process = subprocess.Popen(
        [sys.executable, "-m", "shiftbench", "-m", *settings, "train.epochs=200", "seed=0,1",
         "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"],
        cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    while not list(tmp_path.glob("outputs/trained/*/checkpoint.pt")):
        time.sleep(0.05)
        assert process.poll() is None
    [file, *_] = (tmp_path / "outputs" / "sweeps").glob("*/jobs/*.json")
    worker = json.loads(file.read_text())["process"]
    subprocess.run(["kill", "-9", str(worker)], check=True)
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 1
    assert "its process ended" in errors
    assert "Traceback" not in errors


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["joblib", "submitit_local", "submitit_slurm"])
def test_a_launcher_that_is_not_installed_names_the_extra(tmp_path, settings, launcher):
    hide = "import sys; sys.modules['hydra_plugins.hydra_joblib_launcher'] = None; " \
           "sys.modules['hydra_plugins.hydra_submitit_launcher'] = None; "  # fmt: skip
    code = f"{hide}from shiftbench.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "-m", *settings, *GRID, f"hydra/launcher={launcher}"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    extra = "parallel" if launcher == "joblib" else "slurm"
    assert f"pip install 'shiftbench[{extra}]'" in done.stderr
    assert not list(tmp_path.rglob("run.json"))
