"""From configuration to objects: the only module that calls ``hydra.utils.instantiate``."""

from __future__ import annotations

from typing import Any

import hydra.utils
import torch
from hydra.errors import InstantiationException
from omegaconf import DictConfig, OmegaConf
from torch import nn

from shiftbench.config import CONFIG_DIR, Names, load_option
from shiftbench.data.images import Dataset
from shiftbench.errors import ShiftbenchError, UsageError
from shiftbench.seeds import derive_seed


def instantiate(node: Any, **arguments: Any) -> Any:
    """Make the object that a yaml names, its errors in one sentence."""
    try:
        return hydra.utils.instantiate(node, **arguments)
    except InstantiationException as error:
        cause = error.__cause__
        if isinstance(cause, ShiftbenchError):
            raise cause from error
        target = OmegaConf.select(node, "_target_") if OmegaConf.is_config(node) else node
        raise UsageError(f"cannot make {target} ({cause or error})") from error


def dataset(config: DictConfig) -> Dataset:
    """Return the data set, its batches on the CPU."""
    data: Dataset = instantiate(config.data)
    return data


def augmentation(config: DictConfig) -> Any:
    """Return the augmentation."""
    return instantiate(config.augment)


def protocols(config: DictConfig) -> dict[str, Any]:
    """Return the shift protocols by name."""
    return {str(name): instantiate(node) for name, node in config.shift.items()}


def model(config: DictConfig, names: Names, data: Dataset) -> nn.Module:
    """Return the network with weights drawn from the run's seed.

    Raises:
        UsageError: If the parts do not fit each other or the images.
    """
    pool = instantiate(config.pool)
    head = instantiate(_head_node(config, names))
    _refuse_position_aware_head(pool, head, names)
    settings = {key: value for key, value in config.model.items() if key != "default_head"}
    channels, height, width = data.image_shape
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(config.seed, "weights"))
        network: nn.Module = instantiate(
            OmegaConf.create(settings),
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
