"""Replacements of strided layers, and compositions of pools."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from shiftbench.ops.padding import TorusPool
from shiftbench.pool.base import Downsampling
from shiftbench.surgery.overrides import pooled_everywhere
from shiftbench.surgery.windows import (
    Pair,
    border_of,
    dense_avg,
    dense_max,
    dilation_of,
    pair,
    windows_of,
)


class StrideOnePool2d(nn.Module):
    """The window of a ``MaxPool2d`` or ``AvgPool2d`` at every position instead of every s-th.

    ``x: (N, C, H, W) -> (N, C, H', W')``; every s-th sample equals the layer's output. The border
    is the layer's own; if ``padding`` is circular it wraps around, and ``H' = H`` if the stride
    divides ``H`` and the layer leaves ``H / s``.

    Args:
        pool: The layer. If it overrides ``forward``, that code is run, border included.
        padding: ``zeros``, ``circular`` or ``reflect``; a maximum ignores pixels outside unless
            it is circular.
    """

    def __init__(self, pool: nn.MaxPool2d | nn.AvgPool2d, padding: str) -> None:
        super().__init__()
        # In a list, it is no child and is not mistaken for a layer of the network.
        self.pool = [pool]
        self.padding = "circular" if isinstance(pool, TorusPool) else padding

    def forward(self, x: Tensor) -> Tensor:
        """Return the window's maxima or means at stride 1."""
        [pool] = self.pool
        if has_own_forward(pool):
            return pooled_everywhere(pool, x, wraps=False)
        wraps = self.padding == "circular"
        if isinstance(pool, nn.MaxPool2d):
            return dense_max(
                x, pool.kernel_size, pool.stride, border_of(pool), pool.dilation, pool.ceil_mode,
                wraps=wraps,
            )  # fmt: skip
        return dense_avg(
            x, pool.kernel_size, pool.stride, border_of(pool), pool.ceil_mode,
            pool.count_include_pad, pool.divisor_override, wraps=wraps,
        )  # fmt: skip

    def extra_repr(self) -> str:
        """Return the layer's settings for ``print(model)``."""
        return f"{self.pool[0]}, padding={self.padding}"


def has_own_forward(pool: nn.Module) -> bool:
    """Return whether a subclass of a pooling layer overrides its code."""
    plain = (nn.MaxPool2d.forward, nn.AvgPool2d.forward)
    return type(pool).forward not in plain and not isinstance(pool, TorusPool)


class Aligned2d(nn.Module):
    """The part of a feature map on which the windows of a pooling layer are centred.

    ``x: (N, C, H, W) -> (N, C, H', W')`` where ``ceil(H' / s)`` is the layer's number of windows.
    """

    def __init__(self, pool: nn.MaxPool2d | nn.AvgPool2d) -> None:
        super().__init__()
        self.pool = [pool]

    def forward(self, x: Tensor) -> Tensor:
        """Return the part."""
        rows, columns = (self._part(x.shape[2 + axis], axis) for axis in (0, 1))
        return x[:, :, rows, columns]

    def _part(self, size: int, axis: int) -> slice:
        [pool] = self.pool
        kernel, stride = pair(pool.kernel_size)[axis], pair(pool.stride)[axis]
        reach = dilation_of(pool)[axis] * (kernel - 1)
        start = max(0, (reach - stride + 2) // 2 - border_of(pool)[axis])
        return slice(start, start + stride * windows_of(pool, size, axis))


class Subsample2d(Downsampling):
    """Every s-th sample: a filter of one tap, which keeps the logits of a rewritten network.

    ``x: (N, C, H, W) -> (N, C, ceil(H/s), ceil(W/s))``. It replaces a pool until this is
    checked.

    Args:
        stride: s.
        pool: The pool.
    """

    def __init__(self, stride: int, pool: nn.Module) -> None:
        super().__init__()
        self.stride = stride
        self.pool = [pool]  # in a list, it is no child

    def phase(self, x: Tensor) -> Tensor:
        """Return the first grid for every item, ``(N,)``, as pools that select a grid do."""
        return torch.zeros(len(x), dtype=torch.long, device=x.device)

    def forward(self, x: Tensor, phase: Tensor | None = None) -> Tensor:
        """Return the samples."""
        return x[:, :, :: self.stride, :: self.stride]


class Steps2d(nn.Sequential, Downsampling):
    """Pools in sequence: a stride of 4 as two steps of stride 2, each with a filter.

    ``x: (N, C, H, W) -> (N, C, ceil(H/s), ceil(W/s))`` for s the product of their strides. Two
    filters of three taps make one of seven (1 2 3 4 3 2 1)/16, which is zero at the two
    frequencies that a stride of 4 aliases to a constant; one filter of three taps is 1/2 at the
    lower of them.
    """

    def __init__(self, *pools: Downsampling) -> None:
        super().__init__(*pools)
        self.stride = math.prod(pair(pool.stride)[0] for pool in pools)


class StepsByContent2d(Downsampling):
    """A sequence of pools that select their grid by content, each among its own grids.

    ``x: (N, C, H, W) -> (N, C, ceil(H/s), ceil(W/s))``.

    Args:
        pools: With strides that multiply to s.
    """

    max_first = True

    def __init__(self, pools: Sequence[Downsampling]) -> None:
        super().__init__()
        self.pools = nn.ModuleList(pools)
        self.strides = [pair(pool.stride)[0] for pool in pools]
        self.stride = math.prod(self.strides)
        self.pad = pools[0].pad

    def phase(self, x: Tensor) -> Tensor:
        """Return the index ``(N,)`` of the selected grid, the first pool's digit lowest.

        Of pools that weigh their grids, the weights of all pools, side by side.
        """
        chosen: list[Tensor] = []
        for pool in self.pools:
            chosen.append(pool.phase(x))  # type: ignore[operator]
            x = pool(x, chosen[-1])
        if chosen[0].ndim == 2:
            return torch.cat(chosen, 1)
        picked, base = torch.zeros_like(chosen[0]), 1
        for own, stride in zip(chosen, self.strides, strict=True):
            picked, base = picked + base * own, base * stride**2
        return picked

    def forward(self, x: Tensor, phase: Tensor | None = None) -> Tensor:
        """Keep grid ``phase`` of every image, by default the one that :meth:`phase` selects."""
        given = self._each(self.phase(x) if phase is None else phase)
        for pool, own in zip(self.pools, given, strict=True):
            x = pool(x, own)
        return x

    def _each(self, phase: Tensor) -> list[Tensor]:
        """Return what :meth:`phase` combined, for each pool."""
        if phase.ndim == 2:
            return list(torch.split(phase, [stride**2 for stride in self.strides], 1))
        given = []
        for stride in self.strides:
            given.append(phase % stride**2)
            phase = phase // stride**2
        return given

    def follow_main_branch(self) -> None:
        """Drop the parameters for the selection."""
        for pool in self.pools:
            pool.follow_main_branch()  # type: ignore[operator]


class OneGrid(nn.Module):
    """Pools of branches that are merged later: the first selects the grid for all.

    ``maps: (N, C_i, H, W), ... -> (N, C_i, H/s, W/s), ...``. On separate grids, the branches
    would add features that are one pixel apart.
    """

    def __init__(self, pools: list[nn.Module]) -> None:
        super().__init__()
        self.pools = nn.ModuleList(pools)

    def forward(self, *maps: Tensor) -> tuple[Tensor, ...]:
        """Return the maps on the grid that the first pool selects on the first map."""
        phase = self.pools[0].phase(maps[0])  # type: ignore[operator]
        return tuple(pool(x, phase) for pool, x in zip(self.pools, maps, strict=True))


def cells_fit(pool: nn.MaxPool2d | nn.AvgPool2d) -> bool:
    """Return whether a pool on the aligned part of a map leaves as many cells as ``pool``."""
    rows, columns = pair(pool.stride)
    for size in (probe_size(pool, 0), probe_size(pool, 1)), (probe_size(pool, 0) + 1,) * 2:
        x = torch.zeros(1, 1, *size)
        if Aligned2d(pool)(x)[:, :, ::rows, ::columns].shape != pool(x).shape:
            return False
    return True


def probe_size(layer: nn.Module, axis: int) -> int:
    """Return the side of a map on which a layer has several windows."""
    stride, kernel = pair(layer.stride)[axis], pair(layer.kernel_size)[axis]
    reach = dilation_of(layer)[axis] * (kernel - 1) + 1
    return stride * max(4, -(-2 * reach // stride))


def shape_of(size: Pair) -> str:
    """Return a window's size for a report: ``3×3``."""
    return f"{size[0]}×{size[1]}"
