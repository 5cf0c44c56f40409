"""Devices and numerical precision."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

import torch

from shiftbench.errors import UsageError
from shiftbench.runtime.distributed import World, world
from shiftbench.runtime.job_slots import place


def pick_device(name: str) -> torch.device:
    """Return the device called ``name``; ``auto`` is cuda, else mps, else cpu.

    Raises:
        UsageError: If this machine has no such device.
    """
    if (all_processes := world()).size > 1:
        return _own_device(name, all_processes)
    if name == "auto":
        if torch.cuda.is_available():
            # Parallel jobs are distributed over the devices.
            return torch.device("cuda", place() % torch.cuda.device_count())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    device = torch.device(name)
    available = {"cpu": True, "cuda": torch.cuda.is_available(),
                 "mps": torch.backends.mps.is_available()}  # fmt: skip
    if not available[device.type]:
        raise UsageError(f"device={name} is not available here; use device=auto or device=cpu")
    count = torch.cuda.device_count() if device.type == "cuda" else 1
    if device.index is not None and device.index >= count:
        raise UsageError(
            f"device={name} does not exist; this machine has cuda:0 to cuda:{count - 1}"
        )
    return device


def _own_device(name: str, world: World) -> torch.device:
    """Return the device of one of several processes that share a job: a GPU for each, or the CPU.

    Raises:
        UsageError: If ``name`` is a single device, or there are fewer GPUs than processes.
    """
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if name not in ("auto", "cuda"):
        raise UsageError(
            f"device={name} is one device for {world.size} processes; use device=cuda or device=cpu"
        )
    gpus, needed = torch.cuda.device_count(), world.local_size
    if gpus < needed:
        raise UsageError(
            f"{needed} processes on a machine with {gpus} GPUs; "
            f"start no more than there are GPUs, or use device=cpu"
        )
    return torch.device("cuda", world.local_rank)


def use_precision(name: str, device: torch.device) -> None:
    """Let CUDA round products to 10 bits (TF32) if, and only if, this is requested.

    By default, torch silently rounds convolutions but not matrix products. bf16, which rounds to 7
    bits, allows TF32 as well.

    Raises:
        UsageError: For ``tf32`` on a device that does not support it.
    """
    if name == "tf32" and device.type != "cuda":
        raise UsageError(
            f"precision=tf32 is a format of CUDA devices, this one is {device.type}; "
            "use precision=fp32 or precision=bf16"
        )
    rounded = name != "fp32"
    torch.backends.cudnn.allow_tf32 = rounded
    torch.backends.cuda.matmul.allow_tf32 = rounded


def use_deterministic_kernels(wanted: bool, device: torch.device) -> None:
    """Let CUDA compute the same bits in every run of one command, where it has such kernels.

    Other devices need no setting. A layer of a third-party network without a deterministic kernel
    is computed all the same, with torch's warning. cuBLAS reads its variable when the process
    first multiplies matrices on the GPU; a value that the user set is kept.
    """
    if device.type != "cuda":
        return
    if wanted:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(wanted, warn_only=True)
    torch.backends.cudnn.deterministic = wanted
    torch.backends.cudnn.benchmark = not wanted
    # Otherwise torch fills every new tensor with NaN, which costs a pass over memory.
    torch.utils.deterministic.fill_uninitialized_memory = False


def rounds_to_tf32() -> bool:
    """Return whether matrix products or convolutions of float32 are rounded to TF32 on CUDA."""
    convolutions: Any = torch.backends.cudnn
    with suppress(AttributeError):  # in torch before 2.9
        convolutions = convolutions.conv
    return any(map(_is_tf32, (torch.backends.cuda.matmul, convolutions)))


def _is_tf32(backend: Any) -> bool:
    try:
        # From torch 2.9 on, allow_tf32 raises an error if a program has set this attribute.
        precision = backend.fp32_precision
    except AttributeError:  # in torch before 2.9
        precision = None
    return bool(backend.allow_tf32) if precision is None else precision == "tf32"


def describe_device(device: torch.device) -> str:
    """Return a short description of ``device`` for the first line of a run's log."""
    text = str(device)
    if device.type == "cuda":
        text = f"{device} ({torch.cuda.get_device_name(device)})"
    elif device.type == "cpu":
        text = f"{device} ({torch.get_num_threads()} threads)"
    count = world().size
    return text if count == 1 else f"{text} × {count} processes"
