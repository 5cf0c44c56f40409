"""Devices and numerical precision."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

import torch

from shiftbench.errors import UsageError
from shiftbench.runtime.distributed import World, world
from shiftbench.runtime.job_slots import slot_number


def pick_device(name: str) -> torch.device:
    """Return the device called ``name``; ``auto`` is cuda, else mps, else cpu.

    Raises:
        UsageError: If this machine has no such device.
    """
    if (all_processes := world()).size > 1:
        return _own_device(name, all_processes)
    if name in ("auto", "cuda") and torch.cuda.is_available():
        # Parallel jobs are distributed over the devices.
        return torch.device("cuda", slot_number() % torch.cuda.device_count())
    if name == "auto":
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


def use_threads(number: int | None) -> None:
    """Compute with ``number`` threads from now on; None: as many as before the first call.

    Sums are divided among the threads, so their number changes the last digits of results.
    """
    default = _default_threads()
    wanted = default if number is None else number
    if wanted != torch.get_num_threads():
        torch.set_num_threads(wanted)


@cache
def _default_threads() -> int:
    return torch.get_num_threads()


def require_precision(key: str, name: str, device: torch.device) -> None:
    """Raise unless a device computes in a precision.

    Args:
        key: The setting, for the message.
        name: ``fp32``, ``tf32`` or ``bf16``.
        device: The device.

    Raises:
        UsageError: For ``tf32`` on a device that does not support it.
    """
    if name == "tf32" and device.type != "cuda":
        raise UsageError(
            f"{key}=tf32 is a format of CUDA devices, this one is {device.type}; "
            f"use {key}=fp32 or {key}=bf16"
        )


def use_precision(name: str) -> None:
    """Let CUDA round products to 10 bits (TF32) if, and only if, this is requested.

    By default, torch silently rounds convolutions but not matrix products. bf16, which rounds to 7
    bits, allows TF32 as well.
    """
    rounded = name != "fp32"
    torch.backends.cudnn.allow_tf32 = rounded
    torch.backends.cuda.matmul.allow_tf32 = rounded


@contextmanager
def without_tf32() -> Iterator[None]:
    """Do not round float32 products to TF32 during the block.

    No effect if the program sets torch's ``fp32_precision``, which excludes the older setting.
    """
    backends: tuple[Any, ...] = (torch.backends.cudnn, torch.backends.cuda.matmul)
    try:
        before = [backend.allow_tf32 for backend in backends]
    except RuntimeError:
        yield
        return
    try:
        for backend in backends:
            backend.allow_tf32 = False
        yield
    finally:
        for backend, allowed in zip(backends, before, strict=True):
            backend.allow_tf32 = allowed


def release_cached_memory() -> None:
    """Give GPU memory that torch keeps for reuse back to other processes; it takes some 10 ms."""
    if torch.cuda.is_initialized():
        gc.collect()  # a captured step, for example, is part of a reference cycle
        torch.cuda.empty_cache()


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
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


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
        number = torch.get_num_threads()
        text = f"{device} ({number} thread{'s' * (number != 1)})"
    count = world().size
    return text if count == 1 else f"{text} × {count} processes"
