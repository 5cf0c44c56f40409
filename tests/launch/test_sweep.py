"""Sweeps in real processes: their tables, and how they are resumed."""

import os
import re
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
from sweep_files import DIVERGES, GRID, ONE_THREAD, results_of, sweep_of

from shiftbench.report.progress import standing
from shiftbench.runs.sweep_state import DONE, FAILED, RUNNING, SKIPPED, WAITING, Job, Sweep


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
