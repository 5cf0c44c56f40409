"""The ``sampling`` node of a shift protocol, and its earlier spelling; without torch.

Before this node was introduced, its keys were part of the protocol: ``sampling: draws`` with
``draws: 8`` is now ``sampling: {mode: draws, draws: 8}``. Both are accepted, on the command line
and in yaml files. A run's identity uses the earlier names, so that earlier runs are found.
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
# The classes that had these keys; other classes may have an unrelated ``steps`` or ``seed``.
TARGETS = frozenset(
    f"shiftbench.shift.{name}.{name.capitalize()}"
    for name in ("camera", "circular", "crop", "embed", "subpixel", "translate")
)
_KEY = re.compile(rf"(shift\.[^.]+)\.({'|'.join(EARLIER)})")


def nested_sampling(node: Any, is_sampled: bool = False) -> Any:
    """Return a protocol's node with the keys of its sampling under ``sampling``.

    Args:
        node: The node as written, a ``DictConfig``; anything else is returned unchanged.
        is_sampled: Whether it extends a protocol that has such a node; otherwise this depends on
            its ``_target_``.
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
    """Return the protocols of a configuration with every sampling key in its earlier place."""
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
    """Make Hydra accept the earlier names; may be called more than once.

    Yaml files are rewritten when they are loaded, before they are merged: otherwise, a file that
    adds ``sampling: all`` to a protocol would replace the whole node. Overrides are rewritten when
    they are applied, so that labels and the names of sweeps remain as typed.
    """
    from shiftbench.settings.hydra_patches import rewrite_inputs

    rewrite_inputs(_nest, _renamed)


def _nest(loaded: Any, sampled: dict[str, bool]) -> None:
    """Rewrite the protocols of one file; ``sampled`` records which ones have a node so far."""
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
    """Return an override with the key of the configuration."""
    found = _KEY.fullmatch(override.key_or_group)
    node = OmegaConf.select(cfg, found[1]) if found else None
    if found is None or not isinstance(node, DictConfig):
        return override
    is_node = isinstance(node.get("sampling"), DictConfig)
    is_own = found[2] in node and found[2] != "sampling"
    if not is_node or is_own or (found[2] == "sampling" and isinstance(override.value(), dict)):
        return override
    return dataclasses.replace(override, key_or_group=f"{found[1]}.sampling.{EARLIER[found[2]]}")
