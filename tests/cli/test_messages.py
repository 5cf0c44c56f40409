"""What is stopped says so, and what is refused leaves nothing behind; through real processes."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest


def wait_for(process, folder, pattern, seconds=120):
    deadline = time.monotonic() + seconds
    while process.poll() is None and not list(folder.rglob(pattern)):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def start(*settings, cwd, env=None):
    return subprocess.Popen(
        [sys.executable, "-m", "shiftbench", *settings],
        cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, **(env or {})},
        # A background job of a shell ignores Ctrl-C, and its children would, too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip


LONG = ("train.epochs=400", "progress=false")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "reason", "code"),
    [(signal.SIGINT, "stopped by Ctrl-C", 130), (signal.SIGTERM, "stopped by SIGTERM", 143)],
)
def test_what_is_stopped_is_not_called_failed(
    tmp_path, shiftbench_command, tiny, number, reason, code
):
    """A sweep: its job, its run, its last line and the report after it."""
    process = start("-m", *tiny, *LONG, "seed=0,1", cwd=tmp_path)
    wait_for(process, tmp_path, "checkpoint.pt")
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert "2 jobs: 1 stopped, 1 not started" in err
    assert "failed" not in out + err
    [job] = [json.loads(path.read_text()) for path in tmp_path.rglob("jobs/*.json")]
    assert (job["state"], job["error"]) == ("stopped", reason)
    [status] = [json.loads(path.read_text()) for path in tmp_path.rglob("runs/*/status.json")]
    assert (status["state"], status["error"]) == ("interrupted", reason)
    report = shiftbench_command("report", "--no-figures", "outputs", cwd=tmp_path)
    assert reason in report.stdout + report.stderr
    assert "failed" not in report.stdout + report.stderr


REFUSED = {
    "a value": ("model.width=0",),
    "a folder that is not there": ("data=folder", "data.root=none"),
    "a head for another network": ("model=torchvision", "model.name=resnet18", "head=gap"),
    "a network that cannot be imported": ("model=import", "model.target=no.module"),
    "a protocol that does not fit": ("shift=crop", "shift.crop.margin=1000"),
    "a checkpoint that is not there": ("checkpoint=none.pt",),
    "a checkpoint that is none": (f"checkpoint={__file__}", "train=none"),
}


@pytest.mark.slow
@pytest.mark.parametrize("mode", [(), ("-m", "seed=0,1")], ids=["a run", "a sweep"])
@pytest.mark.parametrize("settings", REFUSED.values(), ids=REFUSED)
def test_what_is_refused_leaves_no_run_behind(tmp_path, shiftbench_command, tiny, settings, mode):
    kept = [item for item in tiny if not item.startswith(("data.", "shift.", "model."))]
    done = shiftbench_command(*mode, *kept, "data.size=16" if "data=folder" not in settings else
                              "data.workers=0", *settings, cwd=tmp_path)  # fmt: skip
    assert done.returncode == 2, done.stderr
    if not mode:
        assert list(tmp_path.iterdir()) == []
    assert not list(tmp_path.rglob("run.json"))
    assert not list(tmp_path.rglob("trained/*"))


@pytest.mark.slow
def test_images_that_cannot_be_read_leave_no_run_behind(tmp_path, shiftbench_command):
    for part in ("train/a", "train/b", "test/a", "test/b"):
        (tmp_path / "ds" / part).mkdir(parents=True)
        (tmp_path / "ds" / part / "0.png").write_text("no image")
    done = shiftbench_command("data=folder", "data.root=ds", "data.workers=0", cwd=tmp_path)
    assert done.returncode == 1
    assert "cannot be read" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["ds"]


@pytest.mark.slow
def test_a_run_that_was_there_before_stays_when_it_is_refused(tmp_path, shiftbench_command, tiny):
    assert shiftbench_command(*tiny, "figures=false", cwd=tmp_path).returncode == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.csv")}
    refused = shiftbench_command(*tiny, "force=true", "device=cuda:9", cwd=tmp_path)
    assert refused.returncode == 2
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.csv")} in (before, {})
    [run] = (tmp_path / "outputs" / "runs").iterdir()
    assert (run / "run.json").is_file()


@pytest.mark.slow
def test_without_figures_no_line_speaks_of_them(tmp_path, shiftbench_command, tiny):
    done = shiftbench_command(*tiny, "figures=false", cwd=tmp_path)
    assert "figures" not in done.stdout
    assert "metrics.csv" in done.stdout


@pytest.mark.slow
def test_the_users_number_of_threads_counts_in_jobs_side_by_side(
    tmp_path, shiftbench_command, tiny
):
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    if (os.cpu_count() or 1) != 2:
        pytest.skip("needs two cores, of which each of two jobs would get one")
    done = shiftbench_command(
        "-m", *tiny, "seed=0,1", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2",
        cwd=tmp_path, env={"OMP_NUM_THREADS": "2"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    logs = [path.read_text() for path in tmp_path.rglob("run.log")]
    assert len(logs) == 2
    assert all("(2 threads)" in log for log in logs)
