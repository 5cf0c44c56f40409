"""Adaptive polyphase sampling (Chaman & Dokmanić, arXiv 2011.14214, sec. 4)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from shiftbench.errors import require_within
from shiftbench.ops.autocast import at_least_single
from shiftbench.pool.base import Downsampling
from shiftbench.pool.blur import BlurPool2d
from shiftbench.pool.polyphase import keep, whole_cells


class AdaptivePolyphase2d(Downsampling):
    """Keep, for each image, the one of the ``stride``² sampling grids that has the largest norm.

    ``x: (N, C, H, W) -> (N, C, ceil(H/s), ceil(W/s))``. A circular shift of the input permutes the
    grids up to circular shifts, which do not change their norms. With circular padding and a global
    head, the network is therefore exactly invariant to integer circular shifts, trained or not, if
    the input size is divisible by the total stride. It is not invariant to fractional shifts or
    crops, nor with other padding.

    Args:
        channels: Channels of ``x``.
        stride: Subsampling factor.
        padding: The network's padding.
        norm: Order of the norm by which the grids are ranked, 1 to 100; the paper uses 2.
        filter_size: Taps of a binomial blur before the subsampling, 1 to 7; 1 is no blur. The paper
            calls the variant with J taps APS-J.
        max_first: Whether a maximum precedes it at pooling sites.
    """

    stride: int
    max_first = True

    def __init__(
        self,
        channels: int,
        stride: int = 2,
        padding: str = "zeros",
        norm: float = 2.0,
        filter_size: int = 1,
        max_first: bool | None = None,
    ) -> None:
        super().__init__()
        self._choose_max_first(max_first)
        # At far higher orders, powers of small numbers underflow and those of large ones overflow.
        require_within("pool.norm", norm, 1, 100)
        require_within("pool.filter_size", filter_size, 1, 7)
        self.stride, self.norm = stride, norm
        self.blur: nn.Module = nn.Identity()
        if filter_size > 1:
            self.blur = BlurPool2d(channels, 1, padding, filter_size)

    def phase(self, x: Tensor) -> Tensor:
        """Return the index ``(N,)`` of the grid with the largest norm, row-major."""
        return self._largest(whole_cells(self.blur(x), self.stride))

    def forward(self, x: Tensor, phase: Tensor | None = None) -> Tensor:
        """Keep grid ``phase`` of every image, by default the one that :meth:`phase` selects."""
        x = whole_cells(self.blur(x), self.stride)
        return keep(x, self._largest(x) if phase is None else phase, self.stride)

    @torch.no_grad()
    def _largest(self, x: Tensor) -> Tensor:
        # In bfloat16, the norms of different grids are often rounded to the same number.
        x = at_least_single(x)
        energy = (x.square() if self.norm == 2 else x.abs().pow(self.norm)).sum(1)
        grids = energy.unflatten(2, (-1, self.stride)).unflatten(1, (-1, self.stride))
        largest: Tensor = grids.sum((1, 3)).flatten(1).argmax(1)
        return largest

    def extra_repr(self) -> str:
        """Return the settings for ``print(model)``."""
        return f"stride={self.stride}, norm={self.norm}"
