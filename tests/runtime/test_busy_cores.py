"""Other processes on the cores of a run, measured on real ones and on made-up counts."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from shiftbench.runtime import busy_cores as module
from shiftbench.runtime.busy_cores import Process, Reading, busy_cores, sentence

NEEDS_PROC = pytest.mark.skipif(not Path("/proc/stat").exists(), reason="this system has no /proc")
SPINNING = "while True: pass"


def readings(busy, **seconds):
    """Two readings a second apart: the cores' use, and that of processes, parents of 1."""
    names = list(seconds)
    first = {10 + n: Process(1, name, 5.0) for n, name in enumerate(names)}
    second = {10 + n: Process(1, name, 5.0 + seconds[name]) for n, name in enumerate(names)}
    return Reading(3.0, 100.0, first), Reading(4.0, 100.0 + busy, second)


def test_the_largest_process_is_named():
    found = sentence(*readings(1.0, make=0.25, ninja=0.75), cores=4, threads=4, root=99)
    assert (
        found == "1 of 4 cores is busy with other processes (ninja 75 %); this run will be slower"
    )


def test_processes_that_cannot_be_seen_have_no_name():
    """In a container the cores are busy with processes of the host."""
    found = sentence(*readings(2.0, bash=0.0), cores=2, threads=2, root=99)
    assert found == "2 of 2 cores are busy with other processes; this run will be slower"


@pytest.mark.parametrize(
    ("busy", "cores", "threads"),
    [
        (0.4, 2, 2),  # the system's own work
        (1.0, 2, 1),  # a core is left for the only thread
        (3.0, 64, 64),  # less than a tenth of the cores
        (20.0, 64, 32),
    ],
)
def test_enough_free_cores_are_not_worth_a_word(busy, cores, threads):
    assert sentence(*readings(busy, make=busy), cores=cores, threads=threads, root=99) is None


def test_this_process_and_its_children_are_not_others():
    before = Reading(0.0, 50.0, {5: Process(1, "python", 1.0), 6: Process(5, "python", 1.0)})
    after = Reading(1.0, 52.0, {5: Process(1, "python", 2.0), 6: Process(5, "python", 2.0)})
    assert sentence(before, after, cores=2, threads=2, root=5) is None
    assert "(python 100 %)" in sentence(before, after, cores=2, threads=2, root=6)


@NEEDS_PROC
def test_a_busy_process_is_seen_by_its_name():
    """Each core has a process that spins, so this one has to share whatever it gets."""
    script = (
        "import os; from shiftbench.runtime.busy_cores import busy_cores\n"
        "print(busy_cores(len(os.sched_getaffinity(0))))"
    )
    spinning = [subprocess.Popen([sys.executable, "-c", SPINNING]) for _ in os.sched_getaffinity(0)]
    try:
        asked = [sys.executable, "-c", script]
        done = subprocess.run(asked, capture_output=True, text=True, check=True)
    finally:
        for process in spinning:
            process.kill()
            process.wait()
    cores = len(os.sched_getaffinity(0))
    assert f" of {cores} cores " in done.stdout
    assert " busy with other processes (" in done.stdout
    assert done.stdout.endswith(" %); this run will be slower\n")


@NEEDS_PROC
def test_a_process_that_spins_counts_as_one_core(tmp_path):
    cores = os.sched_getaffinity(0)
    process = subprocess.Popen([sys.executable, "-c", SPINNING])
    try:
        before = module._reading(cores)
        time.sleep(0.5)
        after = module._reading(cores)
    finally:
        process.kill()
        process.wait()
    used = after.processes[process.pid].seconds - before.processes[process.pid].seconds
    assert 0 < used <= after.time - before.time + 0.05
    assert after.processes[process.pid].parent == os.getpid()
    assert after.busy - before.busy >= used - 0.05


@NEEDS_PROC
def test_cores_are_looked_at_once_per_process():
    busy_cores.cache_clear()
    first = busy_cores(1)
    assert busy_cores(1) == first
    assert busy_cores.cache_info().misses == 1
