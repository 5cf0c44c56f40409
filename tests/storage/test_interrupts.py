"""Ctrl-C at any moment of a write: the old file or the new one, no crash, nothing left over."""

import signal
import subprocess
import sys
import threading

import pytest

from shiftbench.storage.atomic import atomic_file
from shiftbench.storage.interrupts import held_off

# A timer interrupts one write after another, each a little later in its course.
AGAIN_AND_AGAIN = """
import signal, sys, time
from pathlib import Path
import numpy as np, torch
from shiftbench.model import checkpoint
from shiftbench.storage.cache import write_arrays

folder, kind, count = Path(sys.argv[1]), sys.argv[2], 120
weights = {f"layer{i}": torch.ones(50, 50) for i in range(30)}
arrays = {f"images{i}": np.ones((90, 90)) for i in range(8)}
write, read = {
    "checkpoint": (lambda p: checkpoint.save(p, weights), checkpoint.load),
    "arrays": (lambda p: write_arrays(p, arrays), lambda p: dict(np.load(p))),
}[kind]
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))
started = time.perf_counter()
write(folder / "file")
seconds = time.perf_counter() - started
stopped = 0
for number in range(count):
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds * (number + 1) / count)
        write(folder / "file")
        signal.setitimer(signal.ITIMER_REAL, 0)
    except KeyboardInterrupt:
        stopped += 1
    read(folder / "file")
print(stopped)
"""


@pytest.fixture(autouse=True)
def _ctrl_c_is_heard():
    """Hear Ctrl-C, which a shell's background jobs ignore, and what they start as well."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["checkpoint", "arrays"])
def test_ctrl_c_at_any_moment_of_a_write(tmp_path, kind):
    done = subprocess.run(
        [sys.executable, "-c", AGAIN_AND_AGAIN, str(tmp_path), kind],
        capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) > 20, "the timer hit too few writes to show anything"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_ctrl_c_acts_once_the_file_is_whole(tmp_path):
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), atomic_file(tmp_path / "a.txt") as file:
        signal.raise_signal(signal.SIGINT)
        file.write("whole")
    assert (tmp_path / "a.txt").read_text() == "whole"
    assert signal.getsignal(signal.SIGINT) is before


def test_one_write_within_another_waits_for_the_outer_one():
    steps = []
    with pytest.raises(KeyboardInterrupt), held_off():
        with held_off():
            signal.raise_signal(signal.SIGINT)
        steps.append("outer resumes")
    assert steps == ["outer resumes"]


def test_an_error_of_the_block_does_not_swallow_the_interrupt():
    with pytest.raises(KeyboardInterrupt), held_off():
        signal.raise_signal(signal.SIGINT)
        raise OSError("disk full")
    with pytest.raises(OSError, match="disk full"), held_off():
        raise OSError("disk full")


def test_a_scheduler_s_signal_ends_a_process_that_does_not_handle_it():
    script = (
        "import signal\nfrom shiftbench.storage.interrupts import held_off\n"
        "signal.signal(signal.SIGTERM, signal.SIG_DFL)\n"
        "with held_off():\n    signal.raise_signal(signal.SIGTERM)\n"
        "    print('whole', flush=True)\n"
        "print('too far', flush=True)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (-signal.SIGTERM, "whole\n")


def test_a_thread_may_write_too(tmp_path):
    def write():
        with atomic_file(tmp_path / "a.txt") as file:
            file.write("whole")

    thread = threading.Thread(target=write)
    thread.start()
    thread.join()
    assert (tmp_path / "a.txt").read_text() == "whole"
