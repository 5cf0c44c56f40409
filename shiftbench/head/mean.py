"""Mean of class maps (Lin et al., arXiv 1312.4400, sec. 3.2; Worrall et al., arXiv 1612.04642)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from shiftbench.errors import UsageError
from shiftbench.head.base import Head


class MeanHead(Head):
    """Average the map of every class over all positions and add a bias; no linear layer.

    ``x: (N, num_classes, h, w) -> (N, num_classes)``; ``h`` and ``w`` may differ from ``map_size``.
    Exactly invariant to circular shifts of ``x``.

    Args:
        in_chans: Channels of the last feature map, one for each class.
        map_size: ``(h, w)`` of the last feature map.
        num_classes: Number of logits.

    Raises:
        UsageError: If the last feature map does not have a channel for every class.
    """

    is_global = True

    def __init__(self, in_chans: int, map_size: tuple[int, int], num_classes: int) -> None:
        super().__init__()
        if in_chans != num_classes:
            raise UsageError(
                f"head=mean needs a network whose last feature map has a channel for each of the "
                f"{num_classes} classes, got {in_chans} channels; use head=gap, or model=harmonic"
            )
        self.bias = nn.Parameter(torch.zeros(num_classes))

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        logits: Tensor = x.mean((2, 3)) + self.bias
        return logits
