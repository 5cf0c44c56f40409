"""From configuration to objects: the only module that calls ``hydra.utils.instantiate``."""

from __future__ import annotations

from typing import Any

import hydra.utils
import torch
from hydra.errors import InstantiationException
from omegaconf import DictConfig, OmegaConf
from torch import nn

from shiftbench.arguments import check_arguments
from shiftbench.config import CONFIG_DIR
from shiftbench.data.images import Dataset
from shiftbench.errors import ShiftbenchError, UsageError, shown
from shiftbench.naming import Names, load_option
from shiftbench.seeds import derive_seed


def instantiate(node: Any, key: str | None = None, **arguments: Any) -> Any:
    """Make the object that a yaml names, its errors in one sentence.

    Args:
        node: The yaml's content.
        key: Where it stands in the configuration; its values are then checked beforehand.
        arguments: What else the target is given.
    """
    if key is not None:
        _check_own_values(key, node)
    try:
        return hydra.utils.instantiate(node, **arguments)
    except InstantiationException as error:
        cause = error.__cause__
        if isinstance(cause, ShiftbenchError):
            raise cause from error
        target = OmegaConf.select(node, "_target_") if OmegaConf.is_config(node) else node
        raise UsageError(f"cannot make {target} ({shown(cause or error, 300)})") from error


def _check_own_values(key: str, node: Any) -> None:
    """Hold the values of a node against what its target takes, before anything is made."""
    content: Any = OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else {}
    target = content.get("_target_") if isinstance(content, dict) else None
    if not isinstance(target, str):
        group = key.partition(".")[0]
        raise UsageError(f"{key} is none of the options of {group}; see shiftbench list {group}")
    try:
        make = hydra.utils.get_object(target)
    except Exception as error:  # whatever importing somebody's module raises
        raise UsageError(
            f"{key} names {shown(target)} in its yaml, which cannot be imported "
            f"({shown(error.__cause__ or error, 300)}); mend "
            "_target_, or put the module's folder on PYTHONPATH"
        ) from error
    own = {name: value for name, value in content.items() if not str(name).startswith("_")}
    check_arguments(key, make, own)


# The jobs of a sweep mostly share their images: the last data set is kept, and only that.
_last: list[tuple[str, Dataset]] = []


def dataset(config: DictConfig) -> Dataset:
    """Return the data set, its batches on the CPU; the same object for the same settings."""
    settings = OmegaConf.to_yaml(config.data, resolve=True)
    if not _last or _last[0][0] != settings:
        _last.clear()  # before loading: two data sets may be too much for the memory
        _last.append((settings, instantiate(config.data, "data")))
    return _last[0][1]


def augmentation(config: DictConfig) -> Any:
    """Return the augmentation."""
    return instantiate(config.augment, "augment")


def protocols(config: DictConfig) -> dict[str, Any]:
    """Return the shift protocols by name."""
    return {str(name): instantiate(node, f"shift.{name}") for name, node in config.shift.items()}


def model(config: DictConfig, names: Names, data: Dataset) -> nn.Module:
    """Return the network with weights drawn from the run's seed.

    Raises:
        UsageError: If the parts do not fit each other or the images.
    """
    pool = instantiate(config.pool, "pool")
    head = instantiate(_head_node(config, names), "head")
    _refuse_position_aware_head(pool, head, names)
    settings = {key: value for key, value in config.model.items() if key != "default_head"}
    channels, height, width = data.image_shape
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(config.seed, "weights"))
        network: nn.Module = instantiate(
            OmegaConf.create(settings),
            "model",
            num_classes=data.num_classes,
            in_chans=channels,
            image_size=(height, width),
            pool=pool,
            head=head,
            padding=config.padding,
        )
    return network


def _head_node(config: DictConfig, names: Names) -> Any:
    if config.head is not None:
        return config.head
    return OmegaConf.create(load_option("head", names.head, [CONFIG_DIR]))


def _refuse_position_aware_head(pool: Any, head: Any, names: Names) -> None:
    make_pool, make_head = getattr(pool, "func", pool), getattr(head, "func", head)
    needs_global = getattr(make_pool, "needs_global_head", False)
    if needs_global and not getattr(make_head, "is_global", False):
        raise UsageError(
            f"pool={names.pool} with head={names.head} would pool nothing globally; "
            "allowed: head=gap, head=gmp"
        )
