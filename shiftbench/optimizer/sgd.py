"""Stochastic gradient descent with momentum."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from shiftbench.optimizer.contract import Rates, on_cuda, split_groups, undecayed


@dataclass(frozen=True)
class Sgd:
    """SGD with momentum; ``train.weight_decay`` is an L2 penalty on all parameters.

    Except those of pools that exempt theirs (:class:`shiftbench.pool.Downsampling`).
    """

    def __call__(self, model: nn.Module, settings: Rates) -> torch.optim.Optimizer:
        """Return the optimizer of all parameters of ``model``."""
        return torch.optim.SGD(
            split_groups(model, undecayed(model), settings.weight_decay),
            lr=settings.lr,
            momentum=settings.momentum,
            fused=on_cuda(model) or None,
        )
