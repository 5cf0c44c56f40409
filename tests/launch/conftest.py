"""Sweeps that several tests use, by one process or by several."""

import signal
import subprocess
import sys

import pytest
from sweep_files import GRID, ONE_THREAD
from worker_processes import VARIABLES


@pytest.fixture(scope="module")
def settings(tiny):
    return [*(item for item in tiny if not item.startswith("shift.")), "shift=translate"]


@pytest.fixture(scope="module")
def swept(tmp_path_factory, shiftbench_command, settings):
    folder = tmp_path_factory.mktemp("swept")
    done = shiftbench_command("-m", *settings, *GRID, cwd=folder, env=ONE_THREAD)
    assert done.returncode == 0, done.stderr
    return folder, done


@pytest.fixture(scope="module")
def worker_settings(tiny):
    """Runs long enough for several processes to share them."""
    own = ("shift.", "train.epochs")
    return [*(item for item in tiny if not item.startswith(own)), "shift=translate",
            "shift.translate.max_shift=1", "train.epochs=12"]  # fmt: skip


@pytest.fixture(scope="module")
def alone(tmp_path_factory, shiftbench_command, worker_settings):
    """The folder of a sweep by one process."""
    folder = tmp_path_factory.mktemp("alone")
    done = shiftbench_command(
        "-m", *worker_settings, *GRID, cwd=folder, env={"OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def popen(tmp_path):
    """Start a command in a process of its own; kill what is left at the end."""
    started = []

    def popen(*arguments, **options):
        process = subprocess.Popen(
            [sys.executable, "-m", "shiftbench", *arguments],
            cwd=tmp_path, text=True, stderr=subprocess.PIPE, **options,
        )  # fmt: skip
        started.append(process)
        return process

    yield popen
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def start(popen, worker_settings):
    """Start the sweep in a process of its own."""

    def start(*more, grid=GRID):
        return popen(
            "-m", *worker_settings, *grid, *more, env=VARIABLES, stdout=subprocess.PIPE,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )  # fmt: skip

    return start
