"""Adaptive polyphase sampling (Chaman & Dokmanić, arXiv 2011.14214, sec. 4)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shiftbench.errors import require_within
from shiftbench.pool.blur import BlurPool2d


class AdaptivePolyphase2d(nn.Module):
    """Of the ``stride``² sampling grids, keep the one with the largest norm, image by image.

    ``x: (N, C, H, W) -> (N, C, ceil(H/s), ceil(W/s))``. A circular shift of the input permutes the
    grids but not their norms, so with circular padding and a global head the network is exactly
    invariant to integer circular shifts, trained or not, where the size is divisible by the total
    stride. It is not for fractional shifts, crops or other padding.

    Args:
        channels: Channels of ``x``.
        stride: Subsampling factor.
        padding: The network's padding.
        norm: Order of the norm that ranks the grids, 1 to 100; the paper uses 2.
        filter_size: Taps, 1 to 7, of a binomial blur before the sampling; 1 for none (APS-J in the
            paper).
    """

    max_first = True

    def __init__(
        self,
        channels: int,
        stride: int = 2,
        padding: str = "zeros",
        norm: float = 2.0,
        filter_size: int = 1,
    ) -> None:
        super().__init__()
        # Far beyond, powers of small numbers are all 0 and those of large ones infinite.
        require_within("pool.norm", norm, 1, 100)
        require_within("pool.filter_size", filter_size, 1, 7)
        self.stride, self.norm = stride, norm
        self.blur: nn.Module = nn.Identity()
        if filter_size > 1:
            self.blur = BlurPool2d(channels, 1, padding, filter_size)

    def phase(self, x: Tensor) -> Tensor:
        """Return the index ``(N,)`` of the grid with the largest norm, row-major."""
        grids = self._grids(self.blur(x))
        return grids.detach().abs().pow(self.norm).sum((1, 2, 4)).flatten(1).argmax(1)

    def forward(self, x: Tensor, phase: Tensor | None = None) -> Tensor:
        """Keep grid ``phase`` of every image, by default the one that :meth:`phase` picks."""
        x = self.blur(x)
        grids = self._grids(x)
        if phase is None:
            phase = grids.detach().abs().pow(self.norm).sum((1, 2, 4)).flatten(1).argmax(1)
        image = torch.arange(len(x), device=x.device)
        return grids[image, :, :, phase // self.stride, :, phase % self.stride]

    def _grids(self, x: Tensor) -> Tensor:
        """View ``(N, C, H, W)`` as ``(N, C, H/s, s, W/s, s)``, zero-padded to a multiple of s."""
        s = self.stride
        x = F.pad(x, (0, -x.shape[3] % s, 0, -x.shape[2] % s))
        grids: Tensor = x.unflatten(3, (-1, s)).unflatten(2, (-1, s))
        return grids

    def extra_repr(self) -> str:
        """Return the settings for ``print(model)``."""
        return f"stride={self.stride}, norm={self.norm}"
