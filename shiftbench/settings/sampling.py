"""The ``sampling`` node of a shift protocol, and its earlier spelling; no torch.

Until there was a node, its keys stood among the protocol's own: ``sampling: draws`` beside
``draws: 8`` is now ``sampling: {mode: draws, draws: 8}``. Both are read, on the command line and in
yaml files. A run's identity keeps the earlier names, so that earlier runs are found.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

# The earlier name of every key of the node.
EARLIER = {
    "sampling": "mode",
    **{name: name for name in ("draws", "steps", "seed", "path", "peer", "batch")},
}
# The classes that had these keys. Others may have a ``steps`` or a ``seed`` of their own.
TARGETS = frozenset(
    f"shiftbench.shift.{name}.{name.capitalize()}"
    for name in ("camera", "circular", "crop", "embed", "subpixel", "translate")
)
_KEY = re.compile(rf"(shift\.[^.]+)\.({'|'.join(EARLIER)})")


def nested_sampling(node: Any, is_sampled: bool = False) -> Any:
    """Return a protocol's node with the keys of its sampling under ``sampling``.

    Args:
        node: The node as it was written, a ``DictConfig``; anything else comes back as it is.
        is_sampled: Whether it adds to a protocol that has such a node; by default its
            ``_target_`` decides.
    """
    if not isinstance(node, DictConfig):
        return node
    content: Any = OmegaConf.to_container(node)
    if not isinstance(content, dict):
        return node
    known = is_sampled if "_target_" not in content else content["_target_"] in TARGETS
    given = content.get("sampling", {})
    nested = dict(given) if isinstance(given, Mapping) else {"mode": given}
    earlier = [name for name in EARLIER if name in content]
    if not known or not earlier or (earlier == ["sampling"] and isinstance(given, Mapping)):
        return node
    nested |= {EARLIER[name]: content[name] for name in earlier if name != "sampling"}
    own = {name: value for name, value in content.items() if name not in EARLIER}
    return OmegaConf.create({**own, "sampling": nested})


def earlier_names(shift: Mapping[str, Any]) -> dict[str, Any]:
    """Return the protocols of a configuration with every sampling key where it was earlier."""
    return {name: _flat(node) for name, node in shift.items()}


def _flat(node: Any) -> Any:
    if not isinstance(node, Mapping) or node.get("_target_") not in TARGETS:
        return node
    if not isinstance(node.get("sampling"), Mapping):
        return node
    later = {name: earlier for earlier, name in EARLIER.items()}
    own = {name: value for name, value in node.items() if name != "sampling"}
    return own | {later.get(name, name): value for name, value in node["sampling"].items()}


def read_earlier_names() -> None:
    """Make Hydra take the earlier names; may be called more than once.

    Yaml files are changed as they are loaded, before they are merged: a file that adds
    ``sampling: all`` to a protocol would replace the whole node. What is typed is changed when it
    is applied, so that labels and the names of sweeps stay as typed.
    """
    from shiftbench.settings.hydra_patches import rewrite_inputs

    rewrite_inputs(_nest, _renamed)


def _nest(loaded: Any, sampled: dict[str, bool]) -> None:
    """Change the protocols of one file; ``sampled`` says which ones have a node by now."""
    shift = loaded.get("shift") if isinstance(loaded, DictConfig) else None
    if not isinstance(shift, DictConfig):
        return
    for name in map(str, list(shift)):
        node = nested_sampling(shift._get_node(name), sampled.get(name, False))
        if not isinstance(node, DictConfig) or node._is_none() or node._is_missing():
            continue
        if "_target_" in node:
            sampled[name] = isinstance(node.get("sampling"), DictConfig)
        with open_dict(shift):
            shift[name] = node


def _renamed(override: Any, cfg: DictConfig) -> Any:
    """Return what was typed with the key that the configuration has."""
    found = _KEY.fullmatch(override.key_or_group)
    node = OmegaConf.select(cfg, found[1]) if found else None
    if found is None or not isinstance(node, DictConfig):
        return override
    is_node = isinstance(node.get("sampling"), DictConfig)
    is_own = found[2] in node and found[2] != "sampling"
    if not is_node or is_own or (found[2] == "sampling" and isinstance(override.value(), dict)):
        return override
    return dataclasses.replace(override, key_or_group=f"{found[1]}.sampling.{EARLIER[found[2]]}")
