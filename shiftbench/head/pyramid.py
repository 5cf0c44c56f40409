"""Spatial pyramid pooling head (He et al., arXiv 1406.4729, sec. 2.2)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shiftbench.errors import UsageError
from shiftbench.head.base import Head


class PyramidHead(Head):
    """Concatenate maxima over grids of e.g. 1×1, 2×2 and 4×4 cells; apply a linear layer.

    ``x: (N, C, h, w) -> (N, num_classes)``. A compromise between ``gmp`` (one cell) and ``flatten``
    (one cell for every position): only the level of 1×1 cells is invariant to circular shifts.

    Args:
        in_chans: Channels of the last feature map.
        map_size: ``(h, w)`` of the last feature map.
        num_classes: Number of logits.
        levels: Cells per side of each grid, at most the shorter side of the feature map.
    """

    def __init__(
        self,
        in_chans: int,
        map_size: tuple[int, int],
        num_classes: int,
        levels: Sequence[int] = (1, 2, 4),
    ) -> None:
        super().__init__()
        if not levels or min(levels) < 1 or max(levels) > min(map_size):
            height, width = map_size
            raise UsageError(
                f"head.levels={list(levels)} does not fit the last feature map of {height}×{width}"
                f"; allowed: 1 to {min(map_size)}; or use fewer model.downsamplings"
            )
        self.levels = tuple(levels)
        self.fc = nn.Linear(in_chans * sum(level**2 for level in levels), num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        cells = [F.adaptive_max_pool2d(x, level).flatten(1) for level in self.levels]
        logits: Tensor = self.fc(torch.cat(cells, dim=1))
        return logits
