"""Where the work runs."""

from __future__ import annotations

import torch

from shiftbench.errors import UsageError


def pick_device(name: str) -> torch.device:
    """Return the device called ``name``; ``auto`` is cuda, else mps, else cpu.

    Raises:
        UsageError: If this machine has no such device.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
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


def describe_device(device: torch.device) -> str:
    """Return a few words on ``device`` for the first line of a run."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"{device} ({torch.get_num_threads()} threads)" if device.type == "cpu" else str(device)
