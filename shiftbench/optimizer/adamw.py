"""Adam with decoupled weight decay, for networks that SGD does not train well."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from shiftbench.errors import UsageError, printable, require_within
from shiftbench.optimizer.contract import Rates, on_cuda, split_groups, undecayed

log = logging.getLogger(__name__)

USUAL_MOMENTUM = 0.9  # the default of train.momentum
# Normalisation layers whose parameters may have several dimensions; those of others are vectors.
NORMS = (nn.LayerNorm, nn.RMSNorm)


@dataclass(frozen=True)
class AdamW:
    """AdamW (Loshchilov & Hutter, arXiv 1711.05101); biases and norm parameters do not decay.

    Each step multiplies the weights of convolutions and linear layers by 1 − learning rate ×
    ``train.weight_decay``. As in timm and torchvision, biases, parameters of normalisation layers
    and all parameters of at most one dimension, e.g. layer scales, are exempt. ``train.momentum``
    is not used.

    Args:
        betas: Decay rates of the running means of the gradient and of its square, each at least 0
            and below 1.
        eps: Added to the square root of the second running mean; above 0.

    Raises:
        UsageError: If a value is out of range.
    """

    betas: Sequence[float] = (0.9, 0.999)
    eps: float = 1e-8

    def __post_init__(self) -> None:
        if len(self.betas) != 2:
            raise UsageError(
                f"optimizer.betas={printable(list(self.betas))} does not fit; it takes "
                "two numbers, e.g. optimizer.betas=[0.9,0.999]"
            )
        for index, beta in enumerate(self.betas):
            require_within(f"optimizer.betas[{index}]", beta, 0, 0.999999)
        require_within("optimizer.eps", self.eps, 1e-16, 1)

    def __call__(self, model: nn.Module, settings: Rates) -> torch.optim.Optimizer:
        """Return the optimizer of all parameters of ``model``, in at most two groups."""
        if settings.momentum != USUAL_MOMENTUM:
            log.warning(
                "train.momentum=%s is not read by optimizer=adamw; set optimizer.betas instead",
                settings.momentum,
            )
        first, second = map(float, self.betas)
        return torch.optim.AdamW(
            parameter_groups(model, settings.weight_decay),
            lr=settings.lr,
            betas=(first, second),
            eps=self.eps,
            fused=on_cuda(model) or None,
            capturable=on_cuda(model),
        )


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Return the parameters of ``model`` with and without weight decay; empty groups are omitted.

    A parameter that several modules share is listed once, and decays only if none of these modules
    exempts it. Pools may exempt theirs.
    """
    exempt = {
        id(parameter)
        for module in model.modules()
        for name, parameter in module.named_parameters(recurse=False)
        if isinstance(module, NORMS) or name.endswith("bias") or parameter.ndim <= 1
    }
    return split_groups(model, exempt | undecayed(model), weight_decay)
