"""Failures in a sweep, in real processes: what is printed, and how a job is run again."""

import shlex
import subprocess
import sys

import pandas as pd
import pytest
from sweep_files import DIVERGES, GRID, sweep_of


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
