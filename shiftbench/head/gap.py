"""Global average pooling head (Lin et al., arXiv 1312.4400, sec. 3.2)."""

from __future__ import annotations

from torch import Tensor, nn

from shiftbench.head.base import Head


class GlobalAverageHead(Head):
    """Average every channel over all positions, then apply a linear layer.

    ``x: (N, C, h, w) -> (N, num_classes)``; ``h`` and ``w`` may differ from ``map_size``.
    Exactly invariant to circular shifts of ``x``.
    """

    is_global = True

    def __init__(self, in_chans: int, map_size: tuple[int, int], num_classes: int) -> None:
        super().__init__()
        self.fc = nn.Linear(in_chans, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        logits: Tensor = self.fc(x.mean((2, 3)))
        return logits
