"""Number and places of parallel jobs."""

import os
import sys

import pytest

from shiftbench.runtime import job_slots
from shiftbench.runtime.gpu_memory import MIB, memory_of_gpus
from shiftbench.runtime.job_slots import explain_jobs_at_once, jobs_at_once, take_slot

LAUNCHER = {"n_jobs": 2}


def test_jobs_of_two_commands_have_different_places(tmp_path, monkeypatch):
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "SHIFTBENCH_PLACE"):
        monkeypatch.setenv(name, "1")
    slots = [take_slot(LAUNCHER, tmp_path) for _ in range(4)]
    assert [slot.number for slot in slots] == [0, 1, 2, 3]
    slots[1].lock.release()
    assert take_slot(LAUNCHER, tmp_path).number == 1


@pytest.fixture
def gpus(tmp_path, monkeypatch):
    """A machine whose nvidia-smi lists an 80 GB and a 6 GB GPU; 64 cores for this process."""
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!{sys.executable}\nprint('GPU-a1, 81559\\nGPU-b2, 6144')\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(64), raising=False)


@pytest.mark.parametrize(
    ("visible", "memory"),
    [
        (None, [81559 * MIB, 6144 * MIB]),
        ("1", [6144 * MIB]),
        ("1,0", [6144 * MIB, 81559 * MIB]),
        ("GPU-a", [81559 * MIB]),
        ("1,7,0", [6144 * MIB]),
        ("", []),
        ("MIG-GPU-a1/3/0", []),
    ],
)
def test_memory_of_the_visible_gpus(gpus, monkeypatch, visible, memory):
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert memory_of_gpus() == memory


@pytest.mark.parametrize("answer", ["print('no driver'); exit(9)", "print('GPU-a1, [N/A]')", ""])
def test_without_an_answer_there_are_no_gpus(gpus, tmp_path, answer):
    (tmp_path / "nvidia-smi").write_text(f"#!{sys.executable}\n{answer}\n")
    assert memory_of_gpus() == []


@pytest.mark.parametrize(
    ("n_jobs", "device", "expected"),
    [
        (-1, "auto", 9 + 1),  # the small GPU takes one job
        (-1, "cuda", 9 + 1),
        (-1, "cuda:0", 9),
        (-1, "cuda:1", 1),
        (-1, "cpu", 64),
        (-60, "auto", 5),  # fewer cores than jobs that fit
        (20, "auto", 20),  # a number that the user gives is kept
        (None, "auto", 1),
    ],
)
def test_a_negative_number_of_jobs_is_limited_by_gpu_memory(gpus, n_jobs, device, expected):
    launcher = {"n_jobs": n_jobs}
    assert jobs_at_once(launcher, device) == expected
    limited = n_jobs == -1 and device != "cpu"
    assert bool(explain_jobs_at_once(launcher, device)) is limited


def test_the_limit_is_explained(gpus):
    assert explain_jobs_at_once({"n_jobs": -1}, "auto") == (
        "hydra.launcher.n_jobs=-1: 10 jobs at once, one for each 8 GiB of GPU memory; give a "
        "number if they need more or less"
    )


def test_without_gpus_the_cores_count(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert jobs_at_once({"n_jobs": -1}) == job_slots._cores()
