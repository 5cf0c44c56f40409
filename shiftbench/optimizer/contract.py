"""The interface of an optimizer option."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import nn


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


MakeOptimizer = Callable[[nn.Module, Rates], torch.optim.Optimizer]
