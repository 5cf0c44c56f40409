"""What Python a yaml may name; no torch."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import hydra
from omegaconf import OmegaConf


def execution_policy(node: Any, find: Callable[[str], Any]) -> dict[str, Any]:
    """Return what ``hydra.utils.instantiate`` is to be given besides the arguments.

    What a yaml names may be called, Python's own modules excepted, e.g. ``_target_: os.system``.
    Hydra 1.3 has a list of its own of what it refuses, 1.4 warns unless it is told what is allowed.

    Args:
        node: The yaml's content.
        find: Imports a target; what it raises, ``instantiate`` will raise as well.
    """
    if hydra.__version__.startswith("1.3."):
        return {}
    return {"_execution_whitelist_": [name for t in targets(node) for name in _names(t, find)]}


def targets(node: Any) -> Iterator[str]:
    """Yield every ``_target_`` in a node, at whatever depth.

    >>> list(targets({"_target_": "a.B", "_args_": [{"_target_": "c.D"}], "n": 1}))
    ['a.B', 'c.D']
    """
    content: Any = OmegaConf.to_container(node) if OmegaConf.is_config(node) else node
    if isinstance(content, Mapping):
        if isinstance(target := content.get("_target_"), str):
            yield target
        content = list(content.values())
    if isinstance(content, list):
        for part in content:
            yield from targets(part)


def _names(target: str, find: Callable[[str], Any]) -> list[str]:
    """Return what a target is called, none if it is of Python's standard library."""
    try:
        made = find(target)
    except Exception:
        return [target]
    while isinstance(made, partial):
        made = made.func
    module, name = (str(getattr(made, key, "")) for key in ("__module__", "__qualname__"))
    if module.partition(".")[0] in sys.stdlib_module_names:
        return []
    return [target, f"{module}.{name}"]  # Hydra compares nested ones by where they are defined
