"""Checkpoints: plain tensors and numbers, written whole, never unpickled; ours and strangers'."""

from __future__ import annotations

import importlib
import logging
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from shiftbench.errors import ShiftbenchError
from shiftbench.files import atomic_file

log = logging.getLogger(__name__)

FORMAT = 1

# Under which names others keep a state dict in a checkpoint, the most specific first.
WRAPPERS = ("model", "state_dict", "model_state_dict", "net")

_CONVERSION = (
    'import torch; x = torch.load("{path}", weights_only=False, map_location="cpu"); '
    'torch.save(x.state_dict() if hasattr(x, "state_dict") else x["state_dict"], "plain.pt")'
)


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
        if path.suffix == ".safetensors":
            return _safetensors(path)
        _check_sums(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ShiftbenchError(f"no checkpoint at {path}") from None
    except ShiftbenchError:
        raise
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DamagedError(
            f"{path} is not a readable checkpoint of plain tensors ({reason}); "
            f"{_how_to_mend(path, error)}"
        ) from error
    if not isinstance(content, dict):
        raise DamagedError(f"{path} holds a {type(content).__name__}, not a dict of tensors")
    return content


def _how_to_mend(path: Path, error: Exception) -> str:
    """Return what to do about a file that would have to be unpickled, or that is damaged."""
    if not isinstance(error, pickle.UnpicklingError):
        return 'save one with torch.save({"model": model.state_dict()}, path)'
    return (
        "unpickling it would run whatever is in it; whoever trusts its maker writes the tensors "
        f"alone, python -c '{_CONVERSION.format(path=path)}', and gives plain.pt"
    )


def _safetensors(path: Path) -> dict[str, Any]:
    try:
        safetensors = importlib.import_module("safetensors.torch")
    except ImportError as error:
        raise ShiftbenchError(
            f"{path} needs the package safetensors, which is not installed; pip install safetensors"
        ) from error
    content: dict[str, Any] = safetensors.load_file(path, device="cpu")
    return content


def _check_sums(path: Path) -> None:
    """Raise if a tensor's bytes are not those that were written; torch does not look."""
    if not zipfile.is_zipfile(path):
        return  # torch's older format, or no checkpoint: torch says what it is
    with zipfile.ZipFile(path) as archive:
        if damaged := archive.testzip():
            raise ValueError(f"the checksum of {damaged} does not fit")


def state_of(content: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state dict in a checkpoint of whatever making.

    Wrappers and training code put names before those of the network (``module.``, ``_orig_mod.``,
    ``net.`` or whatever an attribute is called), and keep other things beside it, such as the
    weights of a loss. Taken is what has the one prefix under which every weight of the network is.

    Args:
        content: What :func:`load` returned: a state dict, or a dict that holds one.
        own: The network's own state dict.

    Raises:
        ShiftbenchError: If the network's weights are there under several prefixes.
    """
    held = next((content[key] for key in WRAPPERS if isinstance(content.get(key), Mapping)), None)
    state = dict(content if held is None else held)
    if not any(_differences(own, state)):
        return state
    parts = {prefix: _behind(prefix, state) for prefix in _prefixes(state, own)}
    fitting = [prefix for prefix, part in parts.items() if not any(_differences(own, part))]
    if len(fitting) > 1:
        raise ShiftbenchError(
            f"the checkpoint holds the weights of this network {len(fitting)} times, under the "
            f"prefixes {', '.join(fitting)}; save the one that is meant as a state dict of its own"
        )
    if fitting:
        beside = [name for name in state if not name.startswith(fitting[0])]
        if beside:
            log.info("left out of the checkpoint: %s", ", ".join(beside[:5]))
        return parts[fitting[0]]
    # Nothing fits whole: what has most names in common is what the error speaks of.
    return max([state, *parts.values()], key=lambda part: len(part.keys() & own.keys()))


def _prefixes(state: Mapping[str, Any], own: Mapping[str, Any]) -> list[str]:
    """Return what stands before the network's first name anywhere in ``state``."""
    first = next(iter(own), None)
    if first is None:
        return []
    found = (str(name) for name in state if str(name).endswith(f".{first}"))
    return list(dict.fromkeys(name.removesuffix(first) for name in found))


def _behind(prefix: str, state: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)
    }


def fits(model: nn.Module, path: Path) -> bool:
    """Return whether the weights in a checkpoint are those of ``model``, by name and shape."""
    own = model.state_dict()
    return not any(_differences(own, state_of(load(path), own)))


def load_weights(model: nn.Module, path: Path) -> None:
    """Put the weights of a checkpoint, or of a bare state dict, into ``model``.

    Raises:
        ShiftbenchError: If they do not fit, naming the first parameters that differ.
    """
    own = model.state_dict()
    weights = state_of(load(path), own)
    wrong, extra = _differences(own, weights)
    if wrong or extra:
        names = ", ".join([*wrong, *extra][:3])
        raise ShiftbenchError(
            f"{path} does not fit this network: {len(wrong)} parameters missing or of another "
            f"shape, {len(extra)} unknown (first: {names}); use the model, pool and head it was "
            "trained with"
        )
    model.load_state_dict({**own, **weights})


def _differences(own: Mapping[str, Any], weights: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Return the names that are missing or of another shape, and those that are unknown."""
    # Files from before torch 0.4.1 lack the counters of BatchNorm, which nothing here reads.
    wrong = [
        name
        for name in own
        if _shape(weights.get(name)) != _shape(own[name])
        and (name in weights or not name.endswith("num_batches_tracked"))
    ]
    return wrong, [name for name in weights if name not in own]


def _shape(value: Any) -> Any:
    return tuple(value.shape) if isinstance(value, torch.Tensor) else None
