"""The names of all settings of the shipped configuration; without torch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from shiftbench.settings.schema import CONFIG_DIR, GROUPS, LISTS, Config, flatten


def known_keys() -> Iterator[str]:
    """Yield every key of the shipped configuration, dotted, including the names of groups."""
    schema = OmegaConf.to_container(OmegaConf.structured(Config))
    yield from (key for key, _ in flatten(schema))  # type: ignore[arg-type]
    yield from GROUPS
    yield from (key for _, key in option_keys())


def option_keys() -> Iterator[tuple[tuple[str, str], str]]:
    """Yield ``((group, option), key)`` for every setting of every shipped option."""
    for group in GROUPS:
        for path in sorted((CONFIG_DIR / group).glob("*.yaml")):
            for key in _keys_of(group, path):
                yield (group, path.stem), key


def _keys_of(group: str, path: Path) -> Iterator[str]:
    content: Any = OmegaConf.to_container(OmegaConf.load(path))
    prefix = f"{group}.{path.stem}." if group in LISTS else f"{group}."
    if group != "experiment" and isinstance(content, dict):
        content.pop("defaults", None)  # belongs to Hydra
        # _target_ and _partial_ may be set in yaml files only, see refuse
        yield from (key for key, _ in flatten(content, prefix) if not key.endswith("_"))
