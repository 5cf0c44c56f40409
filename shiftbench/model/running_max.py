"""The stride-1 maximum of max-blur pooling, and a faster way to it in bfloat16 on a CPU."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shiftbench.padding import pad2d


class StrideOneMax2d(nn.Module):
    """2×2 maximum at stride 1, the dense half of max pooling (Zhang, arXiv 1904.11486, eq. 2).

    ``x: (N, C, H, W) -> (N, C, H, W)``, padded by one pixel at the right and the bottom.
    Commutes with circular shifts where ``padding`` is circular.
    """

    def __init__(self, padding: str) -> None:
        super().__init__()
        self.padding = padding

    def forward(self, x: Tensor) -> Tensor:
        """Return the running maximum."""
        return running_max(pad2d(x, (0, 1, 0, 1), self.padding))


def running_max(x: Tensor) -> Tensor:
    """Return ``max_pool2d(x, 2, 1)``: the maximum of every 2×2 window.

    ``x: (N, C, H, W) -> (N, C, H-1, W-1)``. After a ReLU, bfloat16 maps on a CPU take another way,
    with the same numbers forward; backward, sums of gradients are rounded in another order.
    """
    if _ranks_as_integers(x):
        fast: Tensor = _IntegerMax.apply(x)
        return fast
    return F.max_pool2d(x, kernel_size=2, stride=1)


def _ranks_as_integers(x: Tensor) -> bool:
    """Whether ``x`` is long rows of bfloat16 numbers of which none is below 0.

    The bits of such numbers, read as integers, are in their order, infinity and NaN at the end.
    """
    return (
        x.device.type == "cpu"
        and x.dtype == torch.bfloat16
        and x.is_contiguous(memory_format=torch.channels_last)
        and bool(_bits(x).amin() >= 0)
    )


class _IntegerMax(torch.autograd.Function):
    """The maximum as two maxima of the memory with itself, moved.

    In channels-last memory one pixel to the right is C numbers further, one down W·C. What
    reaches over the right or the lower edge is left out. The way back goes to the first of
    equal values, as in ``max_pool2d``, whose indices take eight bytes for every number.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        images, channels, height, width = x.shape
        below = width * channels
        bits = _bits(x)
        across = torch.maximum(bits[:-channels], bits[channels:])
        window = torch.empty_like(bits)
        torch.maximum(across[:-below], across[below:], out=window[: -below - channels])
        ctx.save_for_backward(bits, across)
        ctx.shape = (images, height, width, channels)
        inside = window.view(torch.bfloat16).view(ctx.shape)[:, :-1, :-1]
        return inside.contiguous().permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        bits, across = ctx.saved_tensors
        _, _, width, channels = ctx.shape
        windows = gradients[0].new_zeros(ctx.shape)
        windows[:, :-1, :-1] = gradients[0].permute(0, 2, 3, 1)
        pulled = _share(across, windows.view(torch.int16).flatten(), width * channels)
        shared = _share(bits, pulled, channels).view(torch.bfloat16)
        return shared.view(ctx.shape).permute(0, 3, 1, 2)


def _share(ranks: Tensor, gradient: Tensor, step: int) -> Tensor:
    """Give each maximum's ``gradient`` to the larger of ``ranks[i]`` and ``ranks[i + step]``.

    Gradients are bits of bfloat16 numbers: they are masked by the sign of the difference.
    """
    count = len(ranks) - step
    gradient = gradient[:count]
    second = torch.sub(ranks[:count], ranks[step:])  # below 0 where the second one is larger
    second.bitwise_right_shift_(15).bitwise_and_(gradient)
    shared = torch.empty_like(ranks)
    torch.bitwise_xor(gradient, second, out=shared[:count])
    shared[count:] = 0
    shared.view(torch.bfloat16)[step:] += second.view(torch.bfloat16)
    return shared


def _bits(x: Tensor) -> Tensor:
    """Return a bfloat16 map as one row of 16-bit integers, channels first to change."""
    return x.permute(0, 2, 3, 1).reshape(-1).view(torch.int16)
