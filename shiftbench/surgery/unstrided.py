"""A strided layer's window at every position, checked against the layer itself."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from shiftbench.surgery.layers import Pair, UnstridedConv2d, border_of, pair, pooled_size


def unstrided(conv: nn.Conv2d, padding: str) -> nn.Conv2d | None:
    """Return the convolution at stride 1, parameters shared, or None.

    Every s-th sample of its output is the convolution's own output. None where that is not so: the
    layer's border depends on its stride in a way that is not known here.
    """
    dense = _dense(conv, "zeros")
    if not _same_samples(conv, dense):
        return None
    return _dense(conv, padding)


def _dense(conv: nn.Conv2d, padding: str) -> nn.Conv2d:
    border = getattr(conv, "static_padding", None)  # of efficientnet-lite-pytorch
    if border is not None and any(_amounts(border)):
        left, right, top, bottom = _amounts(border)
        mode = "circular" if "Circular" in type(border).__name__ else padding
        return UnstridedConv2d(conv, ((top, bottom), (left, right)), mode)
    if "Same" in type(conv).__name__:  # of timm, and of ports from TensorFlow
        return UnstridedConv2d(conv, None, padding)
    if pair(conv.kernel_size) == pair(conv.stride) and not any(pair(conv.padding)):
        return UnstridedConv2d(conv, ((0, 0), (0, 0)), padding)
    dense = copy.copy(conv)
    dense.stride = (1, 1)
    return dense


def _amounts(border: nn.Module) -> tuple[int, int, int, int]:
    left, right, top, bottom = getattr(border, "padding", (0, 0, 0, 0))
    return int(left), int(right), int(top), int(bottom)


def _same_samples(conv: nn.Conv2d, dense: nn.Conv2d) -> bool:
    """Return whether ``dense``, subsampled, is ``conv``, on maps of even and odd size."""
    rows, columns = pair(conv.stride)
    height, width = _probe_size(conv, 0), _probe_size(conv, 1)
    strided, every = (copy.deepcopy(layer).float().cpu() for layer in (conv, dense))
    for size in ((height, width + 1), (height + 1, width)):
        x = _ramp(conv.in_channels, size)
        with torch.no_grad():
            expected, got = strided(x), every(x)[:, :, ::rows, ::columns]
        scale = expected.abs().max()
        if got.shape != expected.shape or bool((got - expected).abs().max() > 1e-4 * scale):
            return False
    return True


def _probe_size(layer: nn.Module, axis: int) -> int:
    stride, kernel = pair(layer.stride)[axis], pair(layer.kernel_size)[axis]
    return stride * max(4, -(-2 * kernel // stride))


def _ramp(channels: int, size: Pair) -> Tensor:
    """Return numbers without a pattern, and without a draw from torch's random stream."""
    count = channels * size[0] * size[1]
    return (torch.arange(count, dtype=torch.float64) ** 2 * 0.7).sin().float().view(1, -1, *size)


def cells_fit(pool: nn.Module) -> bool:
    """Return whether a pool on the aligned part of a map leaves as many cells as ``pool``."""
    for axis in (0, 1):
        stride, kernel = pair(pool.stride)[axis], pair(pool.kernel_size)[axis]
        start = max(0, (kernel - stride + 1) // 2 - border_of(pool)[axis])
        for size in (_probe_size(pool, axis), _probe_size(pool, axis) + 1):
            kept = pooled_size(pool, size, axis)
            if -(-min(size - start, stride * kept) // stride) != kept:
                return False
    return True
