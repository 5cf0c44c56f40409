"""Fully connected head: every position has its own weights."""

from __future__ import annotations

from torch import Tensor, nn


class FlattenHead(nn.Module):
    """Flatten the last map and map it linearly to logits: position-aware.

    ``x: (N, C, h, w) -> (N, num_classes)``. Invariance has to be learned from data.
    """

    def __init__(self, in_chans: int, map_size: tuple[int, int], num_classes: int) -> None:
        super().__init__()
        self.fc = nn.Linear(in_chans * map_size[0] * map_size[1], num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        logits: Tensor = self.fc(x.flatten(1))
        return logits
