"""Mixtures of sampling grids that move with the content, after LPS and TIPS."""

from __future__ import annotations

import torch
from torch import Tensor

from shiftbench.errors import require_within
from shiftbench.pool.polyphase import mixture_from_largest
from shiftbench.pool.selector import RatingPool2d


class SoftPolyphase2d(RatingPool2d):
    """The mixture of all sampling grids, with weights from one selector (``pool=soft_lps``).

    ``x: (N, C, H, W) -> (N, C, ceil(H/s), ceil(W/s))``. The selector of ``lps`` rates the grids;
    the output is their sum with weights softmax(rating / temperature), in training and testing
    alike. Cells of s² samples begin at the grid of the largest weight, as the samples of two grids
    that meet at one position otherwise depend on the position of the content. With circular padding
    and a global head, the network is exactly invariant to integer circular shifts, trained or not,
    if the input size is divisible by the total stride and no two ratings are equal.

    The idea of a mixture, against the bias towards large samples, is that of TIPS
    (arXiv 2404.07410); this pool has no counterpart in a publication.

    Args:
        channels: Channels of ``x``.
        stride: Subsampling factor.
        padding: The network's padding, also of the selector.
        selector_width: Channels of the selector as a share of ``channels``, up to 8.
        temperature: 0.001 to 1000; towards 0, one grid is kept, as with ``lps``.
        filter_size: Taps of a binomial blur before the subsampling, 1 to 7; 1 is no blur. Grids are
            rated on the map before the blur.

    Raises:
        UsageError: If a value is out of range.
    """

    def __init__(
        self,
        channels: int,
        stride: int = 2,
        padding: str = "zeros",
        selector_width: float = 0.125,
        temperature: float = 1.0,
        filter_size: int = 1,
    ) -> None:
        super().__init__(channels, stride, padding, selector_width, filter_size)
        require_within("pool.temperature", temperature, 0.001, 1000)
        self.temperature = temperature

    def phase(self, x: Tensor) -> Tensor:
        """Return the weights ``(N, s²)`` of the grids."""
        return torch.softmax(self.ratings(x) / self.temperature, 1)

    def forward(self, x: Tensor, phase: Tensor | None = None) -> Tensor:
        """Mix the grids with the weights ``phase``, by default those of :meth:`phase`."""
        weights = self.phase(x) if phase is None else phase
        return mixture_from_largest(self._filtered(x), weights, self.stride, self.pad)

    def extra_repr(self) -> str:
        """Return the settings for ``print(model)``."""
        return f"stride={self.stride}, temperature={self.temperature}"
