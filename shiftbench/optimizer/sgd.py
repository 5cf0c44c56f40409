"""Stochastic gradient descent with momentum."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from shiftbench.optimizer.contract import Rates, on_cuda


@dataclass(frozen=True)
class Sgd:
    """SGD with momentum; ``train.weight_decay`` is an L2 penalty on all parameters."""

    def __call__(self, model: nn.Module, settings: Rates) -> torch.optim.Optimizer:
        """Return the optimizer of all parameters of ``model``."""
        return torch.optim.SGD(
            model.parameters(),
            lr=settings.lr,
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
            fused=on_cuda(model) or None,
        )
