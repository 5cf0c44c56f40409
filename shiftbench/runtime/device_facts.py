"""Facts about the device that a run computes on, for its provenance."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch

from shiftbench.runtime.devices import rounds_to_tf32

_DRIVER = Path("/proc/driver/nvidia/version")


def device_facts(device: torch.device) -> dict[str, Any]:
    """Return device and number of threads; of a GPU also model, driver, CUDA or ROCm, and cuDNN."""
    general = {"device": str(device), "threads": torch.get_num_threads()}
    if device.type != "cuda":
        return general
    properties = torch.cuda.get_device_properties(device)
    facts = {
        **general,
        "GPU": properties.name,
        "compute capability": f"{properties.major}.{properties.minor}",
        "driver": _driver(),
        "CUDA": torch.version.cuda,
        "ROCm": torch.version.hip,
        "cuDNN": str(torch.backends.cudnn.version() or ""),
        "deterministic": "yes" if torch.are_deterministic_algorithms_enabled() else "no",
    }
    return {name: value for name, value in facts.items() if value}


def arithmetic(precision: str, device: torch.device) -> dict[str, Any]:
    """Return a precision, and whether float32 products are rounded to TF32 on the device now."""
    return {"precision": precision, "TF32": device.type == "cuda" and rounds_to_tf32()}


def _driver() -> str | None:
    try:
        return driver_version(_DRIVER.read_text("utf-8", "replace"))
    except OSError:
        return None


def driver_version(text: str) -> str | None:
    """Return the version of NVIDIA's driver from the text of ``/proc/driver/nvidia/version``.

    >>> driver_version("NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 2024")
    '550.54.15'
    """
    found = re.search(r"Kernel Module.*?\s(\d+\.\d+(?:\.\d+)?)\s", text)
    return found.group(1) if found else None
