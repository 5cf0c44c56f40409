"""Adaptive polyphase sampling (Chaman & Dokmanić, arXiv 2011.14214, sec. 4)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shiftbench.errors import require_within
from shiftbench.ops.autocast import at_least_single
from shiftbench.pool.base import Downsampling
from shiftbench.pool.blur import BlurPool2d


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
        return self._largest(self._whole(self.blur(x)))

    def forward(self, x: Tensor, phase: Tensor | None = None) -> Tensor:
        """Keep grid ``phase`` of every image, by default the one that :meth:`phase` selects."""
        x = self._whole(self.blur(x))
        kept: Tensor = _Kept.apply(x, self._largest(x) if phase is None else phase, self.stride)
        return kept

    def _whole(self, x: Tensor) -> Tensor:
        """Return ``x`` padded with zeros to a multiple of the stride."""
        height, width = x.shape[2:]
        missing = (0, -width % self.stride, 0, -height % self.stride)
        return F.pad(x, missing) if any(missing) else x

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


class _Kept(torch.autograd.Function):
    """Select one grid per image, gathering and scattering pixels as rows of ``C`` numbers.

    The backward pass that autograd derives for indexing accumulates gradients, although no pixel is
    selected twice, and takes four to eight times as long.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, phase: Tensor, stride: int) -> Tensor:
        batch, channels, height, width = x.shape
        rows = _pixels(phase, (height, width), stride)
        ctx.save_for_backward(rows)
        ctx.shape = x.shape
        picked = x.permute(0, 2, 3, 1).reshape(-1, channels).index_select(0, rows)
        return picked.view(batch, height // stride, width // stride, channels).permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        [gradient], [rows] = gradients, ctx.saved_tensors
        batch, channels, height, width = ctx.shape
        pixels = gradient.new_zeros(batch * height * width, channels)
        pixels.index_copy_(0, rows, gradient.permute(0, 2, 3, 1).reshape(-1, channels))
        return pixels.view(batch, height, width, channels).permute(0, 3, 1, 2), None, None


def _pixels(phase: Tensor, size: tuple[int, int], stride: int) -> Tensor:
    """Return the indices of the grids' pixels in the batch, flattened to (image, row, column)."""
    height, width = size
    image = torch.arange(len(phase), device=phase.device)[:, None, None]
    row = torch.arange(0, height, stride, device=phase.device) + (phase // stride)[:, None]
    column = torch.arange(0, width, stride, device=phase.device) + (phase % stride)[:, None]
    return ((image * height + row[:, :, None]) * width + column[:, None, :]).flatten()
