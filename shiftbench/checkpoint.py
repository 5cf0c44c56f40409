"""Checkpoints: plain tensors and numbers, written whole, never unpickled."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import nn

from shiftbench.errors import ShiftbenchError
from shiftbench.files import atomic_file

FORMAT = 1


class DamagedError(ShiftbenchError):
    """The file is there and is no checkpoint."""


def save(path: Path, content: dict[str, Any]) -> None:
    """Write ``content`` (tensors, numbers, strings, lists, dicts), whole or not at all."""
    with atomic_file(path, "wb") as file:
        torch.save({"format": FORMAT, **content}, file)


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint on the CPU; a file that needs unpickling is refused.

    Raises:
        ShiftbenchError: If the file is missing, damaged, or holds more than plain values.
    """
    try:
        _check_sums(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ShiftbenchError(f"no checkpoint at {path}") from None
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DamagedError(
            f"{path} is not a readable checkpoint of plain tensors ({reason}); "
            'save one with torch.save({"model": model.state_dict()}, path)'
        ) from error
    if not isinstance(content, dict):
        raise DamagedError(f"{path} holds a {type(content).__name__}, not a dict of tensors")
    return content


def _check_sums(path: Path) -> None:
    """Raise if a tensor's bytes are not those that were written; torch does not look."""
    if not zipfile.is_zipfile(path):
        return  # torch's older format, or no checkpoint: torch says what it is
    with zipfile.ZipFile(path) as archive:
        if damaged := archive.testzip():
            raise ValueError(f"the checksum of {damaged} does not fit")


def load_weights(model: nn.Module, path: Path) -> None:
    """Put the weights of a checkpoint, or of a bare state dict, into ``model``.

    Raises:
        ShiftbenchError: If they do not fit, naming the first parameters that differ.
    """
    content = load(path)
    weights = content.get("model", content)
    own = model.state_dict()
    wrong = [name for name in own if _shape(weights.get(name)) != _shape(own[name])]
    extra = [name for name in weights if name not in own]
    if wrong or extra:
        names = ", ".join([*wrong, *extra][:3])
        raise ShiftbenchError(
            f"{path} does not fit this network: {len(wrong)} parameters missing or of another "
            f"shape, {len(extra)} unknown (first: {names}); use the model, pool and head it was "
            "trained with"
        )
    model.load_state_dict(weights)


def _shape(value: Any) -> Any:
    return tuple(value.shape) if isinstance(value, torch.Tensor) else None
