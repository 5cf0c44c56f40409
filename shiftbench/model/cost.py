"""What a network costs: parameters and multiply-adds of one image."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from shiftbench.model.evaluating import evaluating
from shiftbench.model.layout import home


@dataclass(frozen=True)
class Cost:
    """Parameters and multiply-adds of one forward pass of one image."""

    params: int
    macs: int


def cost(model: nn.Module, image_shape: tuple[int, int, int]) -> Cost:
    """Count by running one empty image; convolutions and matrix products count, blurs included."""
    device, dtype = home(model, torch.device("cpu"))
    image = torch.zeros(1, *image_shape, device=device, dtype=dtype)
    with evaluating(model), torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(image)
    params = sum(parameter.numel() for parameter in model.parameters())
    return Cost(params, counter.get_total_flops() // 2)
