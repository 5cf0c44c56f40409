"""Sweeps in real processes: their jobs, failures and tables, and the launchers."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest

from shiftbench.report.progress import standing
from shiftbench.runs.sweep_state import DONE, FAILED, RUNNING, SKIPPED, WAITING, Job, Sweep

DIVERGES = ("train.weight_decay=10", "train.epochs=4")  # in combination with train.lr=1000
ONE_THREAD = {"OMP_NUM_THREADS": "1"}
GRID = ("pool=max,stride", "seed=0,1")


@pytest.fixture(scope="module")
def settings(tiny):
    return [*(item for item in tiny if not item.startswith("shift.")), "shift=translate"]


@pytest.fixture(scope="module")
def swept(tmp_path_factory, shiftbench_command, settings):
    folder = tmp_path_factory.mktemp("swept")
    done = shiftbench_command("-m", *settings, *GRID, cwd=folder, env=ONE_THREAD)
    assert done.returncode == 0, done.stderr
    return folder, done


def sweep_of(folder):
    [sweep] = (folder / "outputs" / "sweeps").iterdir()
    return sweep


def results_of(folder):
    """Every metric of every run, independent of the order in which the jobs ended."""
    frame = pd.read_csv(sweep_of(folder) / "results.csv", keep_default_na=False)
    return frame.sort_values(["run_id", "protocol", "metric"]).reset_index(drop=True)


@pytest.mark.slow
def test_a_sweep_leaves_its_tables_and_its_page(swept):
    folder, done = swept
    files = {path.name for path in sweep_of(folder).iterdir()}
    assert {"sweep.json", "results.csv", "summary.csv", "report.html", "figures"} <= files
    results = results_of(folder)
    assert results["run_id"].nunique() == 4
    summary = pd.read_csv(sweep_of(folder) / "summary.csv", keep_default_na=False)
    assert sorted(summary["pool"]) == ["max", "stride"]
    assert set(summary["done"]) == {2}
    assert "4 jobs: 4 done" in done.stderr
    assert "stride" in done.stdout
    assert "job 4 of 4 done: accuracy" in done.stderr


@pytest.mark.slow
def test_the_jobs_are_known_before_they_run_by_their_own_names(swept):
    sweep = Sweep.load(sweep_of(swept[0]))
    jobs = sweep.jobs()
    assert [job.state for job in jobs] == [DONE] * 4
    assert jobs[0].overrides[-2:] == ("pool=max", "seed=0")
    assert all((sweep.runs / str(job.run_id) / "metrics.csv").exists() for job in jobs)


@pytest.mark.slow
def test_a_second_time_everything_is_skipped_without_torch(swept, shiftbench_command, settings):
    folder, _ = swept
    before = (sweep_of(folder) / "results.csv").read_bytes()
    again = shiftbench_command(
        "-m", *settings, *GRID, cwd=folder, env={"PYTHONPROFILEIMPORTTIME": "1"}
    )
    assert again.returncode == 0
    assert again.stderr.count("done, skipped") == 4
    assert "4 jobs: 4 done before" in again.stderr
    assert " torch" not in again.stderr
    assert (sweep_of(folder) / "results.csv").read_bytes() == before


@pytest.mark.slow
def test_one_process_loads_torch_once(swept):
    _, done = swept
    assert done.stderr.count("loading torch") == 1
    assert done.stderr.count("loading the data took") == 4


@pytest.fixture(scope="module")
def broken(tmp_path_factory, shiftbench_command, settings):
    """A sweep of three jobs, the second of which diverges."""
    folder = tmp_path_factory.mktemp("broken")
    done = shiftbench_command("-m", *settings, *DIVERGES, "train.lr=0.1,1000,0.05", cwd=folder)
    return folder, done


@pytest.mark.slow
def test_a_failed_job_is_told_at_once_and_the_others_go_on(broken):
    folder, done = broken
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    at_once = done.stderr.index("job 2 of 3 failed: the loss became")
    assert at_once < done.stderr.index("job 3 of 3 done")
    assert "3 jobs: 2 done, 1 failed" in done.stderr
    summary = pd.read_csv(sweep_of(folder) / "summary.csv", keep_default_na=False)
    assert sorted(summary["failed"]) == [0, 0, 1]
    assert "failed" in done.stdout


@pytest.mark.slow
def test_the_command_to_run_a_failed_job_again_does_that(broken):
    folder, done = broken
    [line] = [text.strip() for text in done.stderr.splitlines() if "train.lr=1000 " in f"{text} "
              and text.strip().startswith("shiftbench ")]  # fmt: skip
    again = subprocess.run(
        [sys.executable, "-m", *shlex.split(line)], cwd=folder, capture_output=True, text=True
    )
    assert again.returncode == 1
    assert "the loss became" in again.stderr
    assert len(list((folder / "outputs" / "runs").iterdir())) == 3  # the same run, not a new one


@pytest.mark.slow
def test_fail_fast_leaves_out_the_rest(tmp_path, shiftbench_command, settings):
    done = shiftbench_command(
        "-m", *settings, *DIVERGES, "train.lr=1000,0.1,0.05", "fail_fast=true", cwd=tmp_path
    )
    assert done.returncode == 1
    assert "3 jobs: 1 failed, 2 left out after a failure" in done.stderr
    assert len(list((tmp_path / "outputs" / "runs").iterdir())) == 1


@pytest.mark.slow
def test_wrong_settings_alone_are_a_usage_error(tmp_path, shiftbench_command, settings):
    done = shiftbench_command("-m", *settings, "seed=-1,-2", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("out of range") == 4  # both immediately and in the table
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_sweep_killed_in_the_middle_goes_on_where_it_was(
    tmp_path, swept, shiftbench_command, settings
):
    process = subprocess.Popen(
        [sys.executable, "-m", "shiftbench", "-m", *settings, *GRID], cwd=tmp_path,
        stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env={**os.environ, **ONE_THREAD},
    )  # fmt: skip
    while not any('"done"' in p.read_text() for p in tmp_path.glob("outputs/runs/*/status.json")):
        time.sleep(0.01)
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = shiftbench_command("-m", *settings, *GRID, cwd=tmp_path, env=ONE_THREAD)
    assert done.returncode == 0
    assert re.search(r"4 jobs: [123] done, [123] done before", done.stderr)
    pd.testing.assert_frame_equal(results_of(tmp_path), results_of(swept[0]))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="has no /proc")
def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path, shiftbench_command, settings):
    done = shiftbench_command("-m", *settings, *GRID, "out=/proc/x", cwd=tmp_path)
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert line.startswith("shiftbench: cannot write to /proc/x")
    assert line.endswith("choose another folder with out=PATH")


@pytest.mark.slow
def test_a_report_that_cannot_be_written_hides_no_failure(tmp_path, shiftbench_command, settings):
    command = ["-m", *settings, *DIVERGES, "train.lr=1000,0.1"]
    assert shiftbench_command(*command, cwd=tmp_path).returncode == 1
    page = sweep_of(tmp_path) / "report.html"
    page.unlink()
    page.mkdir()
    done = shiftbench_command(*command, cwd=tmp_path)
    assert done.returncode == 2
    assert "2 jobs: 1 done before, 1 failed" in done.stderr
    assert "the command that runs it again" in done.stderr
    assert "choose another folder with out=PATH" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_what_a_killed_report_left_is_removed_by_the_next(swept, shiftbench_command, settings):
    sweep = sweep_of(swept[0])
    old, new = sweep / ".results.csv.abc.part", sweep / "jobs" / ".x.json.def.part"
    for path in (old, new):
        path.touch()
    os.utime(old, (0, 0))
    assert shiftbench_command("-m", *settings, *GRID, cwd=swept[0]).returncode == 0
    assert not old.exists()
    assert new.exists()  # another process may be writing it
    new.unlink()


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


@pytest.mark.slow
def test_an_experiment_yaml_sweeps_without_m(tmp_path, shiftbench_command, settings):
    own = tmp_path / "mine" / "experiment"
    own.mkdir(parents=True)
    (own / "two.yaml").write_text(
        "# @package _global_\nhydra: {mode: MULTIRUN, sweeper: {params: {pool: 'max,stride'}}}\n"
    )
    done = shiftbench_command(
        "--config-dir", "mine", "experiment=two", "train.lr=1000",
        *settings, *DIVERGES, cwd=tmp_path,
    )  # fmt: skip
    assert "2 jobs: 2 failed" in done.stderr
    assert done.stderr.count("hydra.mode=RUN") == 2


def job(state, seconds=0.0):
    return Job(0, (), state=state, seconds=seconds)


@pytest.mark.slow
def test_the_line_of_a_sweep_says_how_it_stands():
    jobs = [job(DONE, 60), job(SKIPPED), job(RUNNING), job(WAITING), job(WAITING)]
    text = standing(jobs, 63)
    assert text == "sweep: 2 of 5 done · 1 running · about 3 min left · 63 s so far"
    assert "1 failed" in standing([job(FAILED)], 1)
    # two concurrent jobs halve the remaining time
    two = [job(DONE, 60), job(RUNNING), job(RUNNING)]
    assert "about 60 s left" in standing(two, 60)
