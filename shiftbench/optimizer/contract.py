"""The interface of an optimizer option."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import nn

from shiftbench.pool.base import Downsampling


class Rates(Protocol):
    """The settings of the ``train`` group that optimizers share.

    Attributes:
        lr: Peak learning rate.
        momentum: Momentum of SGD; optimizers with a different form of momentum do not use it.
        weight_decay: Coefficient of the weight decay.
    """

    lr: float
    momentum: float
    weight_decay: float


def on_cuda(model: nn.Module) -> bool:
    """Whether the parameters are on CUDA, where fused updates can be part of a captured step."""
    return any(parameter.is_cuda for parameter in model.parameters())


def undecayed(model: nn.Module) -> set[int]:
    """Return the ids of the parameters of pools that exempt theirs from weight decay."""
    pools = [module for module in model.modules() if isinstance(module, Downsampling)]
    return {id(p) for pool in pools if not pool.weight_decay for p in pool.parameters()}


def split_groups(model: nn.Module, exempt: set[int], weight_decay: float) -> list[dict[str, Any]]:
    """Return the parameters with and without weight decay; empty groups are omitted."""
    groups: list[dict[str, Any]] = [
        {"params": [p for p in model.parameters() if id(p) not in exempt],
         "weight_decay": weight_decay},
        {"params": [p for p in model.parameters() if id(p) in exempt], "weight_decay": 0.0},
    ]  # fmt: skip
    return [group for group in groups if group["params"]]


MakeOptimizer = Callable[[nn.Module, Rates], torch.optim.Optimizer]
