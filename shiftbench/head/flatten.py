"""Fully connected head with separate weights for every position."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from shiftbench.head.base import Head


class FlattenHead(Head):
    """Flatten the last feature map and apply a linear layer, which depends on positions.

    ``x: (N, C, h, w) -> (N, num_classes)``. Invariance has to be learned from data.
    """

    def __init__(self, in_chans: int, map_size: tuple[int, int], num_classes: int) -> None:
        super().__init__()
        self.fc = nn.Linear(in_chans * map_size[0] * map_size[1], num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        logits: Tensor = self.fc(x.flatten(1))
        return logits

    def all_shifts(self, x: Tensor) -> Tensor:
        """Return the logits of every circular shift of ``x``, ``-> (N·h·w, num_classes)``.

        The shifts of each image are in row-major order. Rolling the weights in the opposite
        direction is equivalent to rolling the feature map, so all shifts take one matrix product.
        """
        height, width = x.shape[2:]
        weight = self.fc.weight.unflatten(1, x.shape[1:])
        rolled = [
            weight.roll((-dy, -dx), (2, 3)).flatten(1)
            for dy in range(height)
            for dx in range(width)
        ]
        logits = x.flatten(1) @ torch.cat(rolled).T
        return logits.reshape(len(x) * height * width, -1) + self.fc.bias
