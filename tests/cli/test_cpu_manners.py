"""OpenMP's wait policy and the number of threads, seen in real processes."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

UNSET = {k: v for k, v in os.environ.items() if k not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
# OMP_DISPLAY_ENV makes OpenMP print what it read, when torch loads it.
DISPLAYED = {**UNSET, "OMP_DISPLAY_ENV": "true"}
# A run that is quick on cores that it has to share.
LITTLE = (
    "data.size=16", "data.train_images=40", "data.test_images=10", "model.width=4",
    "train.epochs=0", "shift=translate", "shift.translate.max_shift=1", "measure.resamples=20",
    "measure.layers=false", "figures=false",
)  # fmt: skip
LOADING = """
from shiftbench.cli.main import main
try:
    main(["--version"])
except SystemExit:
    import torch
"""


def policy_of(code, variables):
    done = subprocess.run(
        [sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=True
    )
    lines = [line for line in done.stderr.splitlines() if "OMP_WAIT_POLICY" in line]
    if not lines:
        pytest.skip("this torch has an OpenMP that does not print its settings, or none")
    return lines[0].partition("=")[2].strip().strip("'").lower()


def test_threads_of_a_command_sleep_while_they_wait():
    assert policy_of(LOADING, DISPLAYED) == "passive"


@pytest.mark.slow
def test_a_wait_policy_of_the_user_is_kept():
    assert policy_of(LOADING, {**DISPLAYED, "OMP_WAIT_POLICY": "active"}) == "active"


@pytest.mark.slow
def test_the_package_leaves_the_environment_of_a_program_alone():
    code = "import os, shiftbench\nshiftbench.measure\nprint(os.environ.get('OMP_WAIT_POLICY'))"
    done = subprocess.run(
        [sys.executable, "-c", code], env=UNSET, capture_output=True, text=True, check=True
    )
    assert done.stdout == "None\n"


@pytest.mark.slow
def test_threads_are_those_that_were_asked_for(tmp_path, shiftbench_command, tiny):
    for threads in ("threads=3", "threads=null"):
        done = shiftbench_command(
            *tiny, threads, f"out={threads[-1]}", cwd=tmp_path, env={"OMP_NUM_THREADS": "1"}
        )
        assert done.returncode == 0, done.stderr
    [log], [default] = (list(tmp_path.glob(f"{out}/runs/*/run.log")) for out in "3l")
    assert "cpu (3 threads)" in log.read_text()
    assert "cpu (1 thread)" in default.read_text()


@pytest.mark.slow
def test_threads_count_in_the_processes_of_a_launcher(tmp_path, shiftbench_command, tiny):
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    done = shiftbench_command(
        "-m", *tiny, "seed=0,1", "threads=3", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2",
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    logs = [path.read_text() for path in tmp_path.glob("outputs/runs/*/run.log")]
    assert len(logs) == 2
    assert all("cpu (3 threads)" in log for log in logs)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="this system has no /proc")
def test_a_run_names_what_keeps_the_cores_busy(tmp_path, shiftbench_command):
    cores = len(os.sched_getaffinity(0))
    command = (*LITTLE, f"threads={cores}")
    spinning = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(cores)]
    try:
        begun = shiftbench_command(*command, cwd=tmp_path)
        skipped = shiftbench_command(*command, cwd=tmp_path)
    finally:
        for process in spinning:
            process.kill()
            process.wait()
    assert begun.returncode == skipped.returncode == 0, begun.stderr
    [line] = [line for line in begun.stderr.splitlines() if "busy" in line]
    assert re.fullmatch(
        rf"warning: \d+ of {cores} cores (is|are) busy with other processes \(.+ \d+ %\); "
        "this run will be slower",
        line,
    )
    assert "done, skipped" in skipped.stderr
    assert "busy" not in skipped.stderr


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="this system has no /proc")
def test_a_sweep_names_it_once(tmp_path, shiftbench_command):
    cores = len(os.sched_getaffinity(0))
    spinning = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(cores)]
    try:
        done = shiftbench_command("-m", *LITTLE, f"threads={cores}", "seed=0,1,2", cwd=tmp_path)
    finally:
        for process in spinning:
            process.kill()
            process.wait()
    assert done.returncode == 0, done.stderr
    assert "3 jobs: 3 done" in done.stderr
    assert done.stderr.count("busy with other processes") == 1
