"""Runs that are stopped, damaged, started twice or out of space, through real processes."""

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.slow  # real runs, one after the other

RESULTS = ("metrics.csv", "shifts.csv")
EPOCHS = "train.epochs=4"


@pytest.fixture(scope="module")
def settings(tiny):
    return [*(item for item in tiny if "epochs" not in item), EPOCHS, "augment=crop", "pool=blur",
            "figures=true"]  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory, shiftbench_command, settings):
    """The run folder of a run that nobody stopped."""
    folder = tmp_path_factory.mktemp("whole")
    done = shiftbench_command(*settings, cwd=folder)
    assert done.returncode == 0, done.stderr
    [run] = (folder / "outputs" / "runs").iterdir()
    return run


def start(settings, folder, limit=None):
    return subprocess.Popen(
        [sys.executable, "-m", "shiftbench", *settings],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=limit,
    )


def run_of(folder):
    [run] = (folder / "outputs" / "runs").iterdir()
    return run


def same_results(run, whole):
    return all((run / name).read_bytes() == (whole / name).read_bytes() for name in RESULTS)


def weights_of(folder):
    [path] = folder.glob("outputs/trained/*/checkpoint.pt")
    return path


# What is on disk when the process is killed, at most a fifth of a second later.
MOMENTS = ("status.json", "checkpoint.pt", "circular.npz", "train.csv", "views_circular.png")


@pytest.mark.parametrize("seed", range(3))
def test_killed_again_and_again_it_ends_with_the_same_bytes(tmp_path, settings, whole, seed):
    rng = random.Random(seed)
    codes = []
    for moment in sorted(rng.sample(MOMENTS, 2), key=MOMENTS.index):
        process = start(settings, tmp_path)
        while process.poll() is None and not list(tmp_path.rglob(moment)):
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.2))
        process.kill()
        process.communicate()
        codes.append(process.returncode)
        for path in tmp_path.rglob("status.json"):
            assert json.loads(path.read_text())["state"] in ("running", "done")
    assert -signal.SIGKILL in codes
    process = start(settings, tmp_path)
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors
    assert same_results(run_of(tmp_path), whole)
    assert not list(tmp_path.rglob("*.part"))


def test_terminated_by_a_scheduler_it_says_so_and_goes_on(tmp_path, settings, whole):
    process = start(settings, tmp_path)
    while not list(tmp_path.glob("outputs/trained/*/checkpoint.pt")):
        time.sleep(0.02)
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "the same command resumes" in errors
    assert "Traceback" not in errors
    assert json.loads((run_of(tmp_path) / "status.json").read_text())["state"] == "interrupted"
    again = start(settings, tmp_path)
    _, errors = again.communicate(timeout=200)
    assert "continuing after epoch" in errors or "trained before" in errors
    assert same_results(run_of(tmp_path), whole)


DAMAGES = {
    "cut short": lambda data: data[: len(data) // 2],
    "one bit": lambda data: data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1])
    + data[len(data) // 2 + 1 :],
    "empty": lambda data: b"",
    "another file": lambda data: b"hello, I am a text",
}  # fmt: skip


@pytest.fixture
def stopped(tmp_path, shiftbench_command, settings, whole):
    """A run whose weights and tables are there and whose results are not."""
    done = shiftbench_command(*settings, cwd=tmp_path)
    assert done.returncode == 0
    run = run_of(tmp_path)
    (run / "metrics.csv").unlink()
    return tmp_path


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_files_are_named_and_put_aside(
    stopped, shiftbench_command, settings, whole, damage
):
    table = run_of(stopped) / "predictions" / "circular.npz"
    for path in (weights_of(stopped), table):
        path.write_bytes(DAMAGES[damage](path.read_bytes()))
    done = shiftbench_command(*settings, cwd=stopped)
    assert done.returncode == 0, done.stderr
    for path in (weights_of(stopped), table):
        assert f"{path.name}.damaged" in done.stderr
        assert path.with_name(f"{path.name}.damaged").exists()
    assert same_results(run_of(stopped), whole)


def test_what_was_measured_is_not_measured_again(stopped, shiftbench_command, settings, whole):
    done = shiftbench_command(*settings, cwd=stopped)
    assert "trained before" in done.stderr
    assert done.stderr.count("before it was stopped") == 2
    assert same_results(run_of(stopped), whole)


def test_a_table_of_another_run_is_not_used(stopped, shiftbench_command, settings, whole):
    other = shiftbench_command(*settings, "seed=5", cwd=stopped)
    assert other.returncode == 0
    runs = (stopped / "outputs" / "runs").iterdir()
    mine, theirs = sorted(runs, key=lambda path: "-s5-" in path.name)
    table = "predictions/circular.npz"
    (mine / table).write_bytes((theirs / table).read_bytes())
    done = shiftbench_command(*settings, cwd=stopped)
    assert "belongs to" in done.stderr
    assert same_results(mine, whole)


def test_weights_of_another_training_are_not_used(stopped, shiftbench_command, settings, whole):
    path = weights_of(stopped)
    renamed = path.parent.with_name(path.parent.name.replace("-s0-", "-s0-0"))
    other = shiftbench_command(*settings, "train.lr=0.01", cwd=stopped)
    assert other.returncode == 0
    [theirs] = [p for p in stopped.glob("outputs/trained/*/checkpoint.pt") if p != path]
    assert not renamed.exists()
    path.write_bytes(theirs.read_bytes())
    table = run_of_lr(stopped, "0.1")
    for old in (table / "predictions").iterdir():
        old.unlink()
    done = shiftbench_command(*settings, cwd=stopped)
    assert "belongs to" in done.stderr
    assert same_results(table, whole)


def run_of_lr(folder, lr):
    runs = (folder / "outputs" / "runs").iterdir()
    [run] = [p for p in runs if json.loads((p / "run.json").read_text())["settings"]["train.lr"]
             == float(lr)]  # fmt: skip
    return run


def test_results_that_somebody_changed_are_kept_aside(
    tmp_path, shiftbench_command, settings, whole
):
    assert shiftbench_command(*settings, cwd=tmp_path).returncode == 0
    run = run_of(tmp_path)
    (run / "metrics.csv").write_text("mine")
    done = shiftbench_command(*settings, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "metrics.csv.damaged" in done.stderr
    assert (run / "metrics.csv.damaged").read_text() == "mine"
    assert same_results(run, whole)


def test_a_status_that_cannot_be_read_means_run_again(
    tmp_path, shiftbench_command, settings, whole
):
    assert shiftbench_command(*settings, cwd=tmp_path).returncode == 0
    run = run_of(tmp_path)
    (run / "status.json").write_text('{"state": "do')
    assert shiftbench_command(*settings, cwd=tmp_path).returncode == 0
    assert json.loads((run / "status.json").read_text())["state"] == "done"
    assert same_results(run, whole)


def test_two_processes_with_one_run_do_the_work_once(tmp_path, settings, whole):
    both = [start(settings, tmp_path) for _ in range(2)]
    said = [process.communicate(timeout=200)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert sorted("epoch   1" in text for text in said) == [False, True]
    [waited] = [text for text in said if "epoch   1" not in text]
    assert "waiting for it" in waited
    assert "done, skipped" in waited
    assert same_results(run_of(tmp_path), whole)


def test_a_sweep_over_shifts_trains_once(tmp_path, shiftbench_command, settings):
    rest = [item for item in settings if not item.startswith("shift.")]
    done = shiftbench_command(
        "-m", *rest, "shift=translate", "shift.translate.max_shift=1,2,3", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("epoch   1") == 1
    assert len(list((tmp_path / "outputs" / "trained").iterdir())) == 1
    runs = list((tmp_path / "outputs" / "runs").iterdir())
    assert len(runs) == 3
    assert {len((run / "train.csv").read_text().splitlines()) for run in runs} == {5}


def full_disk():
    """From a certain size on every write fails, as on a full disk."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))


def test_a_full_disk_is_a_sentence_and_leaves_whole_files(tmp_path, settings, whole):
    process = start(settings, tmp_path, full_disk)
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 1
    assert "File too large" in errors
    assert "free some space" in errors
    assert "Traceback" not in errors
    assert not list(tmp_path.rglob("*.part"))
    assert not list(tmp_path.rglob("checkpoint.pt"))
    assert json.loads((run_of(tmp_path) / "status.json").read_text())["state"] == "failed"
    again = start(settings, tmp_path)
    _, errors = again.communicate(timeout=200)
    assert again.returncode == 0, errors
    assert same_results(run_of(tmp_path), whole)


def little_memory():
    resource.setrlimit(resource.RLIMIT_AS, (9 * 2**30, 9 * 2**30))


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS does not bind elsewhere")
def test_too_little_memory_names_the_knob(tmp_path, settings):
    rest = [item for item in settings if not item.startswith(("data.size", "model.width"))]
    process = start(
        [
            *rest,
            "data.size=64",
            "data.train_images=3000",
            "train.batch_size=3000",
            "model.width=128",
        ],
        tmp_path,
        little_memory,
    )
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 1
    assert "out of memory while training; lower train.batch_size (now 3000)" in errors
    assert "Traceback" not in errors


def test_a_read_only_place_is_a_sentence(tmp_path, settings):
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    tmp_path.chmod(0o500)
    process = start(settings, tmp_path)
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 2
    assert "choose another folder with out=PATH" in errors
