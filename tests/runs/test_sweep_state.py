"""The state of jobs that several workers, with clocks of their own, write."""

import json
import time

import pytest

from shiftbench.runs.sweep_state import DONE, WAITING, Sweep
from shiftbench.storage.leases import worker_name
from shiftbench.storage.locks import exclusive

JOBS = [["pool=max", "device=cuda:0"], ["pool=blur", "device=cuda:0"]]


@pytest.fixture
def sweep(tmp_path):
    return Sweep.start(tmp_path / "sweep", tmp_path / "runs", JOBS)


def test_a_job_says_which_command_did_it(sweep):
    sweep.put(JOBS[1], state=DONE, run_id="r")
    assert [job.state for job in sweep.jobs()] == [WAITING, DONE]
    assert sweep.job(JOBS[1]).worker == worker_name()


def test_a_worker_with_another_device_has_the_same_jobs(sweep):
    own = [["pool=max", "device=cpu", "out=/mnt/x"], ["pool=blur", "device=cpu", "out=/mnt/x"]]
    assert sweep.is_for(own)
    assert sweep.is_for([job[::-1] for job in own[::-1]])  # arguments in another order
    assert not sweep.is_for([own[0], ["pool=aps"]])
    assert not sweep.is_for(own[:1])
    sweep.put(own[1], state=DONE)
    assert [job.state for job in sweep.jobs()] == [WAITING, DONE]
    assert sweep.job(own[1]).overrides == ("pool=blur", "device=cuda:0")


def test_a_worker_whose_clock_is_slow_belongs_to_the_sweep(sweep, monkeypatch):
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now - 1000)
    sweep.put(JOBS[0], state=DONE)
    assert sweep.jobs()[0].state == DONE


def test_what_an_earlier_start_or_an_earlier_release_wrote_is_not_of_this_start(sweep):
    sweep.put(JOBS[0], state=DONE, run_id="r")
    again = Sweep.start(sweep.folder, sweep.runs, JOBS)
    assert (again.jobs()[0].state, again.jobs()[0].run_id) == (WAITING, "r")


def test_keys_of_other_releases_do_no_harm(sweep):
    sweep.put(JOBS[0], state=DONE, run_id="r")
    [path] = (sweep.folder / "jobs").iterdir()
    content = json.loads(path.read_text())
    for key in ("worker", "training", "sweep"):  # added after the first releases
        del content[key]
    path.write_text(json.dumps({**content, "of_a_later_release": 1}))
    assert sweep.jobs()[0].state == DONE
    assert sweep.jobs()[0].worker == ""


def test_a_job_waits_for_its_run_and_for_its_training(sweep, tmp_path):
    sweep.put(JOBS[0], state=WAITING, run_id="r", training="../trained/t")
    job = sweep.jobs()[0]
    assert not sweep.is_worked_on(job)
    (tmp_path / "runs").mkdir()
    with exclusive(tmp_path / "runs" / "r" / ".lock"):
        assert sweep.is_worked_on(job)
    assert not sweep.is_worked_on(job)
    with exclusive(tmp_path / "trained" / "t" / ".lock"):
        assert sweep.is_worked_on(job)
