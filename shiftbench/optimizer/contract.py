"""What an optimizer option is called with, and what it returns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import nn


class Rates(Protocol):
    """The settings of the ``train`` group that optimizers share.

    Attributes:
        lr: Peak learning rate.
        momentum: Of SGD; optimizers that have another form of it do not read it.
        weight_decay: Factor of the decay of weights.
    """

    lr: float
    momentum: float
    weight_decay: float


MakeOptimizer = Callable[[nn.Module, Rates], torch.optim.Optimizer]
