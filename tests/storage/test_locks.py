"""Locks between processes, through real processes."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from shiftbench.storage import leases
from shiftbench.storage.leases import DEAD_AFTER, lease_path, machine, written_by
from shiftbench.storage.locks import BusyError, exclusive, is_locked

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


WITHOUT_SYSTEM_LOCKS = """
import errno, fcntl, sys, time
from pathlib import Path
from shiftbench.storage.locks import BusyError, exclusive

def flock(*_):
    raise OSError(errno.ENOLCK, "No locks available")

fcntl.flock = flock
try:
    with exclusive(Path(sys.argv[1]), waits_for=lambda _: False):
        print("inside", flush=True)
        sys.stdin.read()
except BusyError as busy:
    print("busy:", busy)
"""


def start_without_system_locks(path, name):
    return subprocess.Popen(
        [sys.executable, "-c", WITHOUT_SYSTEM_LOCKS, str(path)], text=True,
        env={**os.environ, "SHIFTBENCH_WORKER": name},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def test_a_file_system_without_locks_is_locked_by_the_lease(tmp_path):
    path = tmp_path / "lock"
    first = start_without_system_locks(path, "node1-7")
    assert first.stdout.readline() == "inside\n"
    refused, errors = start_without_system_locks(path, "node2-8").communicate(timeout=60)
    assert refused == "busy: node1-7\n"
    first.communicate(timeout=60)
    assert "no lock" not in errors  # no warning: the lease suffices
    third = start_without_system_locks(path, "node3-9")
    assert third.communicate(timeout=60)[0] == "inside\n"
    assert not is_locked(path)
    assert not lease_path(path).exists()


def lease_of_another_machine(lock, age):
    """Leave what a process of another machine writes, renewed ``age`` seconds ago."""
    lock.touch()
    content = {"worker": "node7-4711", "machine": "another boot", "token": "t"}
    lease_path(lock).write_text(json.dumps(content))
    long_ago = time.time() - age
    os.utime(lease_path(lock), (long_ago, long_ago))


def test_a_fresh_lease_of_another_machine_is_respected(tmp_path):
    lock = tmp_path / "lock"
    lease_of_another_machine(lock, age=DEAD_AFTER - 30)
    assert is_locked(lock)
    with pytest.raises(BusyError, match="node7-4711"), exclusive(lock, waits_for=lambda _: False):
        pass
    assert lease_path(lock).exists()


def test_a_stale_lease_of_another_machine_is_taken_over(tmp_path):
    lock = tmp_path / "lock"
    lease_of_another_machine(lock, age=DEAD_AFTER + 30)
    assert not is_locked(lock)
    with exclusive(lock, waits_for=lambda _: False):
        assert written_by(lease_path(lock)).machine == machine()
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


def test_a_lease_that_another_machine_releases_is_waited_for(tmp_path, caplog):
    lock = tmp_path / "lock"
    caplog.set_level("INFO", logger="shiftbench")
    lease_of_another_machine(lock, age=0)
    threading.Timer(0.5, lease_path(lock).unlink).start()
    started = time.monotonic()
    with exclusive(lock, "waiting for node7"):
        assert time.monotonic() - started > 0.4
    assert "waiting for node7" in caplog.text


def test_a_lease_is_dead_by_the_clock_of_the_file_system(tmp_path, monkeypatch):
    lock = tmp_path / "lock"
    lease_of_another_machine(lock, age=0)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 1000)  # this machine's clock is wrong
    assert is_locked(lock)


def test_the_lease_of_a_killed_process_of_this_machine_does_not_delay(held):
    path, process = held
    assert written_by(lease_path(path)).machine == machine()
    process.kill()
    process.wait()
    assert lease_path(path).exists()
    assert not is_locked(path)
    with exclusive(path, waits_for=lambda _: False):
        pass


def test_a_lease_is_renewed_while_it_is_held(tmp_path, monkeypatch):
    monkeypatch.setattr(leases, "RENEWED_EVERY", 0.05)
    with exclusive(tmp_path / "lock"):
        lease = lease_path(tmp_path / "lock")
        os.utime(lease, (0, 0))
        deadline = time.monotonic() + 10
        while lease.stat().st_mtime == 0 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert lease.stat().st_mtime > 0


def test_a_process_whose_lease_was_taken_over_says_so_and_leaves_it(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(leases, "RENEWED_EVERY", 0.05)
    lock = tmp_path / "lock"
    with exclusive(lock):
        lease_of_another_machine(lock, age=0)
        deadline = time.monotonic() + 10
        while not caplog.records and time.monotonic() < deadline:
            time.sleep(0.02)
    assert "node7-4711 has taken over and may do the same work" in caplog.text
    assert written_by(lease_path(lock)).worker == "node7-4711"
