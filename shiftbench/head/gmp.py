"""Global max pooling head (Oquab et al., CVPR 2015)."""

from __future__ import annotations

from torch import Tensor, nn

from shiftbench.head.base import Head


class GlobalMaxHead(Head):
    """Take the maximum of every channel over all positions, then apply a linear layer.

    ``x: (N, C, h, w) -> (N, num_classes)``. Exactly invariant to circular shifts of ``x``.
    """

    is_global = True

    def __init__(self, in_chans: int, map_size: tuple[int, int], num_classes: int) -> None:
        super().__init__()
        self.fc = nn.Linear(in_chans, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        logits: Tensor = self.fc(x.amax((2, 3)))
        return logits
