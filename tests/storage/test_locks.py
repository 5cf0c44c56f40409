"""Locks between processes, through real processes."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from shiftbench.storage.locks import exclusive, is_locked

HOLD = """
import sys, time
from pathlib import Path
from shiftbench.storage.locks import exclusive
with exclusive(Path(sys.argv[1])):
    print("inside", flush=True)
    time.sleep(100)
"""


@pytest.fixture
def held(tmp_path):
    """A lock that another process holds."""
    path = tmp_path / "lock"
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "inside\n"
    yield path, process
    process.kill()
    process.communicate()


def test_a_lock_that_another_process_holds_is_seen(held, tmp_path):
    path, _ = held
    assert is_locked(path)
    assert not is_locked(tmp_path / "another")


def test_a_killed_process_leaves_no_lock(held, caplog):
    path, process = held
    caplog.set_level("INFO", logger="shiftbench")
    threading.Timer(0.3, process.kill).start()
    started = time.monotonic()
    with exclusive(path, "waiting for it"):
        assert time.monotonic() - started > 0.2
    assert "waiting for it" in caplog.text
    assert not is_locked(path)


def test_exclusive_lets_one_in_at_a_time(tmp_path):
    events = []
    inside = threading.Event()

    def second():
        inside.wait()
        with exclusive(tmp_path / "lock"):
            events.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    with exclusive(tmp_path / "lock"):
        inside.set()
        thread.join(timeout=0.1)
        events.append("first")
    thread.join()
    assert events == ["first", "second"]


def a_file(folder):
    (folder / "file").touch()
    return folder / "file" / "lock"


def a_folder(folder):
    (folder / "lock").mkdir()
    return folder / "lock"


def a_place_where_the_system_makes_no_files(folder):
    return Path("/proc/lock")


@pytest.mark.parametrize(
    "place",
    [
        a_file,
        a_folder,
        pytest.param(
            a_place_where_the_system_makes_no_files,
            marks=pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc"),
        ),
    ],
)
def test_exclusive_runs_where_no_lock_can_be_made(tmp_path, place, caplog):
    entered = []
    with exclusive(place(tmp_path)):
        entered.append(True)
    assert entered == [True]
    if place is not a_place_where_the_system_makes_no_files:  # warned of once a process
        assert "no lock in" in caplog.text


def test_exclusive_passes_errors_on(tmp_path):
    with pytest.raises(OSError, match="mine"), exclusive(tmp_path / "lock"):
        raise OSError("mine")
