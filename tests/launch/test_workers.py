"""Several real processes that work through one sweep in one folder."""

import json
import re
import shutil
import signal
import time
from contextlib import ExitStack

import pytest
from sweep_files import GRID
from worker_processes import JOBLIB, SLOW_JOBLIB, sweep_of, tables, times_computed

from shiftbench.launch.sweep import SweepController
from shiftbench.launch.workers import join
from shiftbench.report.progress import SweepDisplay
from shiftbench.runs.sweep_state import DONE, FAILED, RUNNING, WAITING, Sweep
from shiftbench.storage.leases import lease_path, machine


def until(condition, *processes, seconds=120):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline
        assert all(process.poll() is None for process in processes), "it ended too early"
        time.sleep(0.02)
    return found


def running(folder, count):
    """Return the workers that run a job, once there are so many."""
    if not list(folder.glob("outputs/sweeps/*/jobs/*.json")):
        return []
    found = {job.worker for job in sweep_of(folder).jobs() if job.state == RUNNING}
    return found if len(found) == count else []


@pytest.mark.slow
@pytest.mark.parametrize("more", [pytest.param(("device=cpu",), id="basic"), SLOW_JOBLIB])
def test_two_processes_share_the_jobs_and_both_print_the_whole_table(tmp_path, start, alone, more):
    if more == JOBLIB:
        pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    first, second = start(), start(*more)
    outputs = [process.communicate(timeout=200) for process in (first, second)]
    for process, (printed, errors) in zip((first, second), outputs, strict=True):
        assert process.returncode == 0, errors
        assert "4 jobs: 4 done\n" in errors
        assert re.search(r"max +none", printed) or "stride" in printed
    jobs = sweep_of(tmp_path).jobs()
    assert [job.state for job in jobs] == [DONE] * 4
    assert len({job.worker for job in jobs}) == 2
    assert times_computed(tmp_path) == [(1, 1)] * 4
    assert tables(tmp_path) == tables(alone)
    own = [re.search(r"this process did (\d), \S+ did (\d)", errors) for _, errors in outputs]
    assert own[0].groups() == own[1].groups()[::-1]
    assert not list(tmp_path.rglob("*.lease"))
    assert not list(tmp_path.glob("outputs/sweeps/*/places"))


@pytest.mark.slow
def test_the_order_of_arguments_makes_no_other_sweep(tmp_path, start, alone):
    processes = [start(), start(grid=GRID[::-1])]
    for process in processes:
        _, errors = process.communicate(timeout=200)
        assert process.returncode == 0, errors
        assert "4 jobs: 4 done\n" in errors
    assert len(sweep_of(tmp_path).jobs()) == 4
    assert times_computed(tmp_path) == [(1, 1)] * 4
    runs = {name: content for name, content in tables(tmp_path).items() if "/runs/" in name}
    assert runs == {name: content for name, content in tables(alone).items() if "/runs/" in name}


def test_jobs_of_another_order_are_postponed_as_one_s_own(tmp_path):
    """The sweep lists the jobs in the order of the worker that started it."""
    listed = [["pool=max", "seed=0"], ["pool=max", "seed=1"]]
    own = [["seed=1", "pool=max", "device=cpu"], ["seed=0", "pool=max", "device=cpu"]]
    sweep = Sweep.start(tmp_path / "sweep", tmp_path / "runs", listed)
    sweep.put(listed[0], state=WAITING, run_id="r")
    controller = SweepController(sweep, SweepDisplay(sweep.jobs, shown=False), own, ExitStack())
    assert controller.postponed() == [own[1]]


@pytest.mark.slow
def test_the_folder_of_an_earlier_release_is_found(
    tmp_path, shiftbench_command, alone, worker_settings
):
    """It was named by the order in which the arguments were typed."""
    shutil.copytree(alone / "outputs", tmp_path / "outputs")
    folder = sweep_of(tmp_path).folder
    earlier = folder.rename(folder.with_name(f"seed-0-1-pool-max-stride-{folder.name[-8:]}"))
    done = shiftbench_command("-m", *worker_settings, *GRID[::-1], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "4 jobs: 4 done before" in done.stderr
    assert sweep_of(tmp_path).folder == earlier
    assert Sweep.load(earlier).overrides[1][-2:] == ("seed=0", "pool=stride")


def test_the_last_worker_removes_what_killed_ones_left(tmp_path):
    jobs = [["seed=0"]]
    _, first = join(tmp_path, tmp_path / "runs", jobs)
    _, last = join(tmp_path, tmp_path / "runs", jobs)
    killed = tmp_path / "workers" / "node1-4711-0.lock"
    killed.touch()
    lease_path(killed).write_text(
        json.dumps({"worker": "node1-4711", "machine": machine(), "token": "t"})
    )
    place = tmp_path / "places" / "node1" / "place-0.lock"
    place.parent.mkdir(parents=True)
    place.touch()
    first.close()
    assert place.exists()
    last.close()
    assert not (tmp_path / "workers").exists()
    assert not (tmp_path / "places").exists()


@pytest.mark.slow
def test_the_job_of_a_killed_process_is_taken_over(tmp_path, start, alone):
    first, second = start(), start()
    until(lambda: running(tmp_path, 2), first, second)
    first.kill()
    _, errors = second.communicate(timeout=200)
    assert second.returncode == 0, errors
    assert "4 jobs: 4 done\n" in errors
    [worker] = {job.worker for job in sweep_of(tmp_path).jobs() if job.process == second.pid}
    assert worker.endswith(f"-{second.pid}")
    assert not list(tmp_path.glob("outputs/sweeps/*/workers"))
    assert tables(tmp_path) == tables(alone)


@pytest.mark.slow
def test_ctrl_c_ends_parallel_jobs_and_keeps_what_is_finished(tmp_path, start, alone):
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    process = start(*JOBLIB, grid=("train.epochs=12,5000", "seed=0,1"))
    until(lambda: len(list(tmp_path.glob("outputs/trained/*/checkpoint.pt"))) == 4, process)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert "4 jobs: 2 done, 2 stopped\n" in errors
    results = tables(tmp_path)
    of_one_process = tables(alone)
    finished = [name for name in results if name.endswith(("metrics.csv", "shifts.csv"))]
    assert len(finished) == 4
    assert all(results[name] == of_one_process[name] for name in finished)
    assert not list(tmp_path.rglob("report.html"))  # nobody waits for figures


@pytest.mark.slow
def test_a_failure_is_not_repeated_by_the_other_process(tmp_path, start):
    grid = ("train.weight_decay=10", "train.lr=1000,0.1", "seed=0,1")
    processes = [start(grid=grid), start(grid=grid)]
    for process in processes:
        _, errors = process.communicate(timeout=200)
        assert process.returncode == 1, errors
        assert "4 jobs: 2 done, 2 failed" in errors
    failed = [job for job in sweep_of(tmp_path).jobs() if job.state == FAILED]
    for job in failed:
        log = (tmp_path / "outputs" / "runs" / job.run_id / "run.log").read_text()
        assert log.count("the loss became") == 1


@pytest.mark.slow
def test_forced_workers_repeat_finished_runs_once(tmp_path, start):
    assert start().wait(timeout=200) == 0
    processes = [start("force=true"), start("force=true")]
    for process in processes:
        _, errors = process.communicate(timeout=200)
        assert "4 jobs: 4 done\n" in errors
    assert [done for done, _ in times_computed(tmp_path)] == [2] * 4
