"""Layers that take the place of strided ones: the same window at stride 1, or the same grid."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from shiftbench.padding import pad2d

Pair = tuple[int, int]


def pair(value: object) -> Pair:
    """Return ``(rows, columns)`` of a number or a pair."""
    if isinstance(value, tuple | list):
        return int(value[0]), int(value[1])
    return int(value), int(value)  # type: ignore[call-overload]


def pooled_size(pool: nn.Module, size: int, axis: int) -> int:
    """Return how many windows a ``MaxPool2d`` or ``AvgPool2d`` puts on ``size`` pixels."""
    kernel, stride = pair(pool.kernel_size)[axis], pair(pool.stride)[axis]
    border, step = border_of(pool)[axis], pair(getattr(pool, "dilation", 1))[axis]
    free = size + 2 * border - step * (kernel - 1) - 1
    if not pool.ceil_mode:
        return free // stride + 1
    windows = -(-free // stride) + 1
    # As torch does: a window that would start beyond the map and its left border is left out.
    return windows - 1 if (windows - 1) * stride >= size + border else windows


def border_of(pool: nn.Module) -> Pair:
    """Return the border (rows, columns) of a pooling layer, one that wraps around included."""
    return pair(getattr(pool, "torus_padding", pool.padding))


class StrideOnePool2d(nn.Module):
    """The window of a ``MaxPool2d`` or ``AvgPool2d`` at every position instead of every s-th.

    ``x: (N, C, H, W) -> (N, C, H', W')``; every s-th sample of it is the layer's own output. The
    border is the layer's own; where ``padding`` is circular it wraps around, and ``H' = H`` where
    the stride divides ``H`` and the layer leaves ``H / s``.

    Args:
        pool: The layer.
        padding: ``zeros``, ``circular`` or ``reflect``; a maximum ignores what is outside unless
            it is circular.
    """

    def __init__(self, pool: nn.MaxPool2d | nn.AvgPool2d, padding: str) -> None:
        super().__init__()
        # In a list, it is no child: nobody shall take it for a layer of the network.
        self.pool = [pool]
        self.padding = "circular" if hasattr(pool, "torus_padding") else padding

    def forward(self, x: Tensor) -> Tensor:
        """Return the window's maxima or means at stride 1."""
        [pool] = self.pool
        (top, bottom), (left, right) = (self._reach(x.shape[2 + axis], axis) for axis in (0, 1))
        amounts = (left, right, top, bottom)
        if isinstance(pool, nn.MaxPool2d):
            outside = float("-inf")
            circular = self.padding == "circular"
            x = pad2d(x, amounts, "circular") if circular else F.pad(x, amounts, value=outside)
            return F.max_pool2d(x, pool.kernel_size, 1, dilation=pool.dilation)
        if self.padding == "circular":
            return F.avg_pool2d(pad2d(x, amounts, "circular"), pool.kernel_size, 1)
        border = pair(pool.padding)
        beyond = (0, right - border[1], 0, bottom - border[0])
        if any(beyond):  # a window that ceil_mode lets reach over the edge
            x = F.pad(x, beyond, mode="replicate")
        return F.avg_pool2d(
            x, pool.kernel_size, 1, border, count_include_pad=pool.count_include_pad
        )

    def _reach(self, size: int, axis: int) -> Pair:
        """Return by how much to pad before and after, so that there are enough positions."""
        [pool] = self.pool
        border, stride = border_of(pool)[axis], pair(pool.stride)[axis]
        window = pair(getattr(pool, "dilation", 1))[axis] * (pair(pool.kernel_size)[axis] - 1)
        natural = size + 2 * border - window
        kept = pooled_size(pool, size, axis)
        wanted = stride * kept if self.padding == "circular" else stride * (kept - 1) + 1
        return border, border + max(0, wanted - natural)

    def extra_repr(self) -> str:
        """Return the layer's settings for ``print(model)``."""
        return f"{self.pool[0]}, padding={self.padding}"


class Aligned2d(nn.Module):
    """The part of a map that the windows of a pooling layer are centred on.

    ``x: (N, C, H, W) -> (N, C, H', W')`` with ``ceil(H' / s)`` as many as the layer has windows.
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
        start = max(0, (kernel - stride + 1) // 2 - border_of(pool)[axis])
        return slice(start, start + stride * pooled_size(pool, size, axis))


class UnstridedConv2d(nn.Conv2d):
    """A strided convolution at every position, where its border is not its ``padding``.

    ``x: (N, in_channels, H, W) -> (N, out_channels, H', W')``; every s-th sample is the strided
    convolution's output, ``H'`` is s times as large as that. For patches (kernel = stride, no
    border) and for borders in TensorFlow's manner ("same": what the stride leaves over, the
    smaller half before). Parameters keep their names.

    Args:
        conv: The convolution; its parameters are shared.
        border: ``((top, bottom), (left, right))`` in pixels; None where it follows the size of
            the map ("same").
        padding: What the border is: ``zeros`` or ``circular``; ``reflect`` is taken as zeros.
    """

    def __init__(self, conv: nn.Conv2d, border: tuple[Pair, Pair] | None, padding: str) -> None:
        super().__init__(
            conv.in_channels, conv.out_channels, conv.kernel_size, 1, 0,  # type: ignore[arg-type]
            conv.dilation, conv.groups, conv.bias is not None, device="meta",  # type: ignore[arg-type]
        )  # fmt: skip
        self.weight, self.bias = conv.weight, conv.bias
        self.border, self.step = border, pair(conv.stride)
        self.pad = "circular" if padding == "circular" else "zeros"
        self.train(conv.training)

    def forward(self, input: Tensor) -> Tensor:
        """Return the convolution at every position."""
        (top, bottom), (left, right) = (self._reach(input.shape[2 + axis], axis) for axis in (0, 1))
        padded = pad2d(input, (left, right, top, bottom), self.pad)
        return F.conv2d(padded, self.weight, self.bias, 1, 0, self.dilation, self.groups)

    def _reach(self, size: int, axis: int) -> Pair:
        """Return the border before and after that leaves s positions for each strided one."""
        stride, window = self.step[axis], self.dilation[axis] * (self.kernel_size[axis] - 1)
        if self.border is None:
            kept = -(-size // stride)
            before = max(0, (kept - 1) * stride + window + 1 - size) // 2
        else:
            before, after = self.border[axis]
            kept = (size + before + after - window - 1) // stride + 1
        return before, stride * kept - size + window - before


class OneGrid(nn.Module):
    """Pools of branches that meet again: the first picks the grid, all of them keep it.

    ``maps: (N, C_i, H, W), ... -> (N, C_i, H/s, W/s), ...``. On grids of their own, the branches
    would add features that are a pixel apart.
    """

    def __init__(self, pools: list[nn.Module]) -> None:
        super().__init__()
        self.pools = nn.ModuleList(pools)

    def forward(self, *maps: Tensor) -> tuple[Tensor, ...]:
        """Return the maps, each on the grid that the first pool picks on the first map."""
        phase = self.pools[0].phase(maps[0])  # type: ignore[operator]
        return tuple(pool(x, phase) for pool, x in zip(self.pools, maps, strict=True))
