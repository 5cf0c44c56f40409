"""Combinations of options that make no network, each refused in one sentence."""

from __future__ import annotations

import inspect
from typing import Any

from omegaconf import DictConfig, OmegaConf

from shiftbench.activation.relu import ReLU
from shiftbench.errors import UsageError, printable
from shiftbench.head.base import MakeHead
from shiftbench.pool.base import MakeDownsampling
from shiftbench.settings.labels import Names


def refuse(pool: MakeDownsampling, head: MakeHead, names: Names) -> None:
    """Refuse pools that a network of this package cannot have, or not with this head.

    Raises:
        UsageError: With what is allowed.
    """
    if pool.kind.is_native:
        raise UsageError(
            f"pool={names.pool} keeps the downsampling of an external network, and "
            f"model={names.model} has none but its pool's; name another, e.g. pool=max"
        )
    if pool.kind.needs_global_head and not head.is_global:
        raise UsageError(
            f"pool={names.pool} with head={names.head} would pool nothing globally; "
            "allowed: head=gap, head=gmp"
        )


def refuse_activation(config: DictConfig, model: Any) -> None:
    """Refuse an activation other than ReLU for a network that does not take one.

    Args:
        config: The composed configuration.
        model: The class or function that makes the network.

    Raises:
        UsageError: With the networks that do.
    """
    target = str(OmegaConf.select(config, "activation._target_"))
    takes = isinstance(model, type) and "activation" in inspect.signature(model).parameters
    if not takes and target != f"{ReLU.__module__}.{ReLU.__qualname__}":
        raise UsageError(
            f"activation={printable(target.split('.')[-2])} cannot be given to "
            f"{printable(config.model._target_)}, whose activations are its own; "
            "use model=vgg or model=resnet"
        )
