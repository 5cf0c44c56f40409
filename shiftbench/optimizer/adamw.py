"""Adam with decoupled weight decay, for networks that SGD does not train well."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from shiftbench.errors import UsageError, printable, require_within
from shiftbench.optimizer.contract import Rates

log = logging.getLogger(__name__)

USUAL_MOMENTUM = 0.9  # train.momentum where nobody gives it
# Those whose parameters may have several dimensions; of the others they are vectors.
NORMS = (nn.LayerNorm, nn.RMSNorm)


@dataclass(frozen=True)
class AdamW:
    """AdamW (Loshchilov & Hutter, arXiv 1711.05101); biases and norm parameters do not decay.

    ``train.weight_decay`` times the learning rate is taken off the weights of convolutions and
    linear layers. Exempt are biases, parameters of normalisation layers and every parameter of one
    dimension at most, such as layer scales, as it is the practice of timm and torchvision.
    ``train.momentum`` is not read.

    Args:
        betas: Decay of the running means of the gradient and of its square, each 0 to below 1.
        eps: Added to the root of the latter; above 0.

    Raises:
        UsageError: If one of them is out of range.
    """

    betas: Sequence[float] = (0.9, 0.999)
    eps: float = 1e-8

    def __post_init__(self) -> None:
        if len(self.betas) != 2:
            raise UsageError(
                f"optimizer.betas={printable(list(self.betas))} does not fit; it takes "
                "two numbers, e.g. optimizer.betas=[0.9,0.999]"
            )
        for place, beta in enumerate(self.betas):
            require_within(f"optimizer.betas[{place}]", beta, 0, 0.999999)
        require_within("optimizer.eps", self.eps, 1e-16, 1)

    def __call__(self, model: nn.Module, settings: Rates) -> torch.optim.Optimizer:
        """Return the optimizer of all parameters of ``model``, in two groups at most."""
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
        )


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Return the parameters of ``model``, those that decay first; a group without any is left out.

    A parameter that several modules share is listed once, and decays only if none of them exempts
    it.
    """
    exempt = {
        id(parameter)
        for module in model.modules()
        for name, parameter in module.named_parameters(recurse=False)
        if isinstance(module, NORMS) or name.endswith("bias") or parameter.ndim <= 1
    }
    groups: list[dict[str, Any]] = [
        {"params": [p for p in model.parameters() if id(p) not in exempt],
         "weight_decay": weight_decay},
        {"params": [p for p in model.parameters() if id(p) in exempt], "weight_decay": 0.0},
    ]  # fmt: skip
    return [group for group in groups if group["params"]]
