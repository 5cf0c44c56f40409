"""Checkpoints: plain tensors and numbers, written whole, never unpickled; ours and others'."""

from __future__ import annotations

import importlib
import logging
import pickle
import zipfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from shiftbench.errors import ShiftbenchError, UsageError, printable
from shiftbench.storage.atomic import atomic_file

log = logging.getLogger(__name__)

FORMAT = 1

# Under which names others keep a state dict in a checkpoint, the most specific first.
WRAPPERS = ("model", "state_dict", "model_state_dict", "net")
# What wrappers put into names at any place: torch.compile, FSDP, activation checkpointing.
INFIXES = ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.")

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
            f"{_how_to_repair(path, error)}"
        ) from error
    if not isinstance(content, dict):
        raise DamagedError(f"{path} holds a {type(content).__name__}, not a dict of tensors")
    return content


def _how_to_repair(path: Path, error: Exception) -> str:
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


@dataclass(frozen=True)
class Found:
    """The part of a checkpoint that is compared with a network.

    Attributes:
        weights: By the network's names.
        prefix: What stood before these names in the file: ``module.`` of DataParallel, ``net.`` of
            a LightningModule that calls its network so.
        left_out: Names without that prefix: of a loss, a metric, a counter.
        rivals: Other prefixes under which the same names and shapes stand, with other values.
    """

    weights: dict[str, Any]
    prefix: str
    left_out: tuple[str, ...]
    rivals: tuple[str, ...]


def find(content: Mapping[str, Any], own: Mapping[str, Any]) -> Found:
    """Return the network's weights in a checkpoint of whatever making.

    Args:
        content: What :func:`load` returned: a state dict, or a dict that holds one.
        own: The network's own state dict.
    """
    held = next((content[key] for key in WRAPPERS if isinstance(content.get(key), Mapping)), None)
    state = _without_infixes(dict(content if held is None else held), own)
    prefix, *others = _prefixes(state, own) or [""]
    weights = _under(state, prefix)
    rivals = [p for p in others if prefix and not _same(weights, _under(state, p), own)]
    left_out = tuple(name for name in state if not name.startswith(prefix))
    return Found(weights, prefix, left_out, tuple(rivals))


def _without_infixes(state: dict[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state without the names of wrappers that the network itself does not have."""
    for infix in INFIXES:
        if any(infix in name for name in own):
            continue
        renamed = {name.replace(infix, ""): value for name, value in state.items()}
        state = renamed if len(renamed) == len(state) else state
    return state


def _prefixes(state: Mapping[str, Any], own: Mapping[str, Any]) -> list[str]:
    """Return the prefixes under which the network's names stand, the best first.

    Where several hold all of them, those are returned; else the one that holds the most.
    """
    endings: dict[str, list[str]] = {}
    for name in own:
        endings.setdefault(name.rpartition(".")[2], []).append(name)
    counts: Counter[str] = Counter()
    for name, value in state.items():
        for ending in endings.get(name.rpartition(".")[2], ()):
            prefix = name.removesuffix(ending)
            complete = name.endswith(ending) and (not prefix or prefix.endswith("."))
            if complete and _shape(value) == _shape(own[ending]):
                counts[prefix] += 1
    ranked = sorted(counts, key=lambda prefix: (-counts[prefix], len(prefix)))
    whole = [p for p in ranked if not _differences(own, _under(state, p))[0]]
    return whole or ranked[:1]


def _under(state: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): v for name, v in state.items() if name.startswith(prefix)}


def _same(one: Mapping[str, Any], other: Mapping[str, Any], own: Mapping[str, Any]) -> bool:
    """Return whether two sets of weights hold the same values for the network."""
    return all(
        one[name].dtype == other[name].dtype and torch.equal(one[name], other[name])
        for name in own
        if isinstance(one.get(name), torch.Tensor) and isinstance(other.get(name), torch.Tensor)
    )


def fits(model: nn.Module, path: Path) -> bool:
    """Return whether the weights in a checkpoint are those of ``model``, by name and shape.

    Raises:
        UsageError: If the file is not a checkpoint.
    """
    own = model.state_dict()
    return not any(_differences(own, _found(path, own).weights))


def _found(path: Path, own: Mapping[str, Any]) -> Found:
    """Return the network's weights in a file that a setting names."""
    try:
        return find(load(path), own)
    except ShiftbenchError as error:
        raise UsageError(str(error)) from error


def load_weights(model: nn.Module, path: Path) -> None:
    """Put the weights of a checkpoint, or of a bare state dict, into ``model``.

    Raises:
        UsageError: If the file is not a checkpoint, if they do not fit, naming the first parameters
            that differ, or if the file holds them more than once, with different values.
    """
    own = model.state_dict()
    found = _found(path, own)
    wrong, extra = _differences(own, found.weights)
    if wrong or extra:
        names = ", ".join([*wrong, *(found.prefix + name for name in extra)][:3])
        raise UsageError(
            f"{path} does not fit this network: {len(wrong)} parameters missing or of another "
            f"shape, {len(extra)} unknown (first: {names}); use the model, pool and head it was "
            "trained with"
        )
    if found.rivals:
        raise UsageError(
            f"{path} holds weights of this network under {' and under '.join(_all(found))}, with "
            "different values; save the state dict of the one that is meant"
        )
    if found.left_out:
        log.info(
            "weights of %s: those under '%s'; left out: %s",
            path.name, found.prefix, printable(", ".join(found.left_out)),
        )  # fmt: skip
    model.load_state_dict({**own, **found.weights})


def _all(found: Found) -> list[str]:
    return [f"'{prefix}'" for prefix in (found.prefix, *found.rivals)]


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
