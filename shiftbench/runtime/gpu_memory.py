"""Memory of the GPUs that this process may use, from NVIDIA's tool; without torch."""

from __future__ import annotations

import os
import shutil
import subprocess

MIB = 2**20


def memory_of_gpus() -> list[int]:
    """Return the memory of every visible GPU in bytes; [] without ``nvidia-smi`` or without GPUs.

    ``CUDA_VISIBLE_DEVICES`` is respected where it lists numbers or UUIDs. For a slice of a GPU
    (MIG), the memory of the whole GPU is not available to a process, so the result is [].
    """
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    query = [tool, "--query-gpu=uuid,memory.total", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)
        lines = [line.split(",") for line in answer.stdout.splitlines() if line.strip()]
        found = [(uuid.strip(), int(size) * MIB) for uuid, size in lines]
    except (OSError, subprocess.SubprocessError, ValueError):
        return []  # no driver, or a number that is not available
    return _visible(found, os.environ.get("CUDA_VISIBLE_DEVICES"))


def _visible(found: list[tuple[str, int]], listed: str | None) -> list[int]:
    """Return the memory of the GPUs that a value of ``CUDA_VISIBLE_DEVICES`` leaves visible.

    >>> _visible([("GPU-a1", 1), ("GPU-b2", 2), ("GPU-c3", 3)], "2,0")
    [3, 1]
    >>> _visible([("GPU-a1", 1), ("GPU-b2", 2)], "GPU-b"), _visible([("GPU-a1", 1)], "-1")
    ([2], [])
    """
    if listed is None:
        return [size for _, size in found]
    sizes = []
    for name in listed.split(","):
        name = name.strip()
        if name.isdecimal() and int(name) < len(found):
            sizes.append(found[int(name)][1])
        elif name and len(fits := [size for uuid, size in found if uuid.startswith(name)]) == 1:
            sizes += fits
        else:  # as in CUDA, devices behind an unknown one are not visible
            break
    return sizes
