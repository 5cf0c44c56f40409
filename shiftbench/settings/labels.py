"""Labels of a run in tables: one for each group, with the settings that differ from its yaml."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from shiftbench.settings.schema import flatten
from shiftbench.storage.atomic import names_a_file

# Settings for the location and the reading of a data set, which do not change its content.
UNLABELLED = frozenset(("root", "workers", "name", "classes", "memory_limit_gb"))


@dataclass(frozen=True)
class Names:
    """Labels of a run in tables: one for each group, with the settings that differ from its yaml.

    ``blur`` is the unmodified yaml, ``blur[filter_size=5]`` differs from it in one setting.
    """

    experiment: str
    data: str
    model: str
    pool: str
    head: str
    augment: str
    train: str


def names(config: DictConfig, choices: Mapping[str, Any], folders: list[Path]) -> Names:
    """Return the labels of a composed configuration.

    Args:
        config: The composed configuration.
        choices: The option of each group, as reported by Hydra.
        folders: Folders in which yaml files are searched, in order.
    """
    labels = {
        group: _label(group, str(choices[group]), config, folders)
        for group in ("data", "model", "pool", "head", "augment", "train")
        if choices.get(group) not in (None, "null")
    }
    labels.setdefault("head", str(config.model.get("default_head") or ""))
    if "head" not in choices or choices["head"] in (None, "null"):
        labels["head"] = _own_head(labels["pool"], labels["head"])
    return Names(experiment=str(choices.get("experiment") or ""), **labels)


def _own_head(pool: str, default_head: str) -> str:
    # pool=global means a single global pool at the end, so the head must not depend on positions.
    return "gap" if pool == "global" and default_head != "mean" else default_head


def _label(group: str, choice: str, config: DictConfig, folders: list[Path]) -> str:
    node = config[group]
    default = load_option(group, choice, folders)
    if group == "train":  # its defaults may depend on the optimizer
        default = _resolved(default, config)
    own = dict(flatten(OmegaConf.to_container(node, resolve=True)))  # type: ignore[arg-type]
    plain = dict(flatten(default))
    if group == "data":
        choice = _data_name(choice, own)
    hidden = UNLABELLED if group == "data" else set()
    if group == "model" and "target" in own:  # its weights do not define a preprocessing
        hidden = {key for key in own if key.startswith("preprocessing.")}
        hidden |= {"target"} if own.get("name") else set()
    changed = [
        f"{key}={_plain(value)}"
        for key, value in own.items()
        if key in plain and plain[key] != value and key not in hidden
    ]
    return f"{choice}[{','.join(changed)}]".replace(" ", "") if changed else choice


def _resolved(option: dict[str, Any], config: DictConfig) -> dict[str, Any]:
    """Return an option's values with interpolations resolved in ``config``."""
    around: Any = OmegaConf.to_container(config)
    content: Any = OmegaConf.to_container(OmegaConf.create({**around, "train": option})["train"],
                                          resolve=True)  # fmt: skip
    return dict(content)


def parts_of(label: str) -> tuple[str, list[str]]:
    """Return the option of a label and the settings in its brackets.

    >>> parts_of("shapes[size=16,test.object_size=[0.2,0.35]]")
    ('shapes', ['size=16', 'test.object_size=[0.2,0.35]'])
    """
    option, _, rest = label.removesuffix("]").partition("[")
    # A list of numbers also contains commas and brackets.
    return option, re.split(r",(?=[\w.]+=)", rest) if rest else []


def _data_name(choice: str, settings: Mapping[str, Any]) -> str:
    """Return ``folder:NAME`` for a user's own data, never a path."""
    if settings.get("name"):
        return str(settings["name"])
    root = settings.get("root")
    return (
        f"{choice}:{Path(root).expanduser().resolve().name}"
        if choice == "folder" and root
        else choice
    )


def _plain(value: Any) -> str:
    """Return a value for a label; of a path, only the last part."""
    text = str(value)
    return Path(text).stem if names_a_file(text) else text


def load_option(group: str, option: str, folders: list[Path]) -> dict[str, Any]:
    """Return ``<folder>/<group>/<option>.yaml`` as a plain dict, {} if it does not exist."""
    for folder in folders:
        path = folder / group / f"{option}.yaml"
        if path.is_file():
            content = OmegaConf.to_container(OmegaConf.load(path))
            return content if isinstance(content, dict) else {}  # type: ignore[return-value]
    return {}
