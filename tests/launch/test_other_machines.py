"""A sweep beside workers of other machines, of which only their leases are seen."""

import json
import os
import signal
import time

import pytest
from worker_processes import SLOW_JOBLIB, sweep_of, tables

from shiftbench.runs.sweep_state import Sweep
from shiftbench.storage.leases import DEAD_AFTER, lease_path


def hold_elsewhere(folder, age=0.0):
    """Leave the lease of another machine that works in a folder."""
    lock = folder / ".lock"
    folder.mkdir(parents=True, exist_ok=True)
    lock.touch()
    lease_path(lock).write_text(
        json.dumps({"worker": "node7-4711", "machine": "another boot", "token": "t"})
    )
    renewed = time.time() - age
    os.utime(lease_path(lock), (renewed, renewed))


def said(process, text):
    """Read standard error until a line has the text; return all lines."""
    lines = []
    for line in process.stderr:
        lines.append(line)
        if text in line:
            return lines
    raise AssertionError("".join(lines))


@pytest.mark.slow
def test_a_run_of_another_machine_comes_last_and_is_taken_over_when_its_lease_is_stale(
    tmp_path, start, alone
):
    first = sweep_of(alone).jobs()[0].run_id
    folder = tmp_path / "outputs" / "runs" / first
    hold_elsewhere(folder, age=-600)  # still fresh when the other jobs are done
    process = start()
    lines = said(process, "waiting for 1 job of other processes")
    assert any("job 1 of 4 is postponed, as node7-4711 works on it" in line for line in lines)
    assert len(list(tmp_path.glob("outputs/runs/*/metrics.csv"))) == 3
    hold_elsewhere(folder, age=DEAD_AFTER + 30)
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors
    assert "4 jobs: 4 done\n" in errors
    assert tables(tmp_path) == tables(alone)


@pytest.mark.slow
@pytest.mark.parametrize("launcher", [pytest.param((), id="basic"), SLOW_JOBLIB])
def test_ctrl_c_ends_the_waiting_at_once(tmp_path, start, alone, launcher):
    if launcher:
        pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    for job in sweep_of(alone).jobs():
        hold_elsewhere(tmp_path / "outputs" / "runs" / job.run_id, age=-600)
    process = start(*launcher)
    said(process, "waiting for 4 jobs of other processes")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=DEAD_AFTER / 2)
    assert process.returncode == 130
    assert "4 jobs: 4 not started" in errors


@pytest.mark.slow
def test_a_training_of_another_machine_is_waited_for_last(tmp_path, start):
    grid = ("measure.resamples=20,30", "pool=max,stride")
    # One run makes the names of the trainings known.
    known = start("out=known", grid=grid)
    assert known.wait(timeout=200) == 0
    [sweep] = (tmp_path / "known" / "sweeps").iterdir()
    first = Sweep.load(sweep).jobs()[0].run_id
    who = json.loads((tmp_path / "known" / "runs" / first / "run.json").read_text())
    folder = tmp_path / "outputs" / "trained" / who["train_id"]
    hold_elsewhere(folder)
    process = start(grid=grid)
    lines = said(process, "waiting for 2 jobs of other processes")
    postponed = [line for line in lines if "is postponed, as node7-4711" in line]
    assert [line[:10] for line in postponed] == ["job 1 of 4", "job 3 of 4"]
    lease_path(folder / ".lock").unlink()
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors
    assert "4 jobs: 4 done\n" in errors
