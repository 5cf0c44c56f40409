"""Layers that keep every sampling grid instead of one: what the dense engine is made of.

A layer of stride s is a layer of stride 1 followed by "keep every s-th sample". On a torus a shift
of the input by d moves that sampling grid: the samples of the shifted input are the samples of the
unshifted one on grid p = −d mod s, shifted by the whole number (d + p) / s. So all s² grids, put
side by side in the batch, hold the layer's answer to every shift, and the next layer can go on.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field

import torch.nn.functional as F
from torch import Tensor, nn

from shiftbench.geometry import rolls_to_batch, space_to_batch
from shiftbench.padding import pad2d
from shiftbench.predict.spectral import SpectralConv, worth_it


class NotDenseError(Exception):
    """Why a network cannot be measured densely, as the end of a sentence."""


@dataclass
class Trace:
    """What the layers of one dense pass did to the batch.

    Attributes:
        images: Images in the pass.
        strides: (sy, sx) by how many views of each image there were before the layer.
        shifts: (h, w) of the last map where a position-aware head was shown all its shifts.
    """

    images: int = 0
    strides: dict[int, tuple[int, int]] = field(default_factory=dict)
    shifts: tuple[int, int] | None = None

    def start(self, images: int) -> None:
        """Begin a pass over so many images."""
        self.images, self.shifts = images, None
        self.strides.clear()

    def split(self, x: Tensor, stride: tuple[int, int]) -> None:
        """Note that every item of the batch ``x (B, C, H, W)`` becomes one item for each grid."""
        height, width = x.shape[-2:]
        if height % stride[0] or width % stride[1]:
            raise NotDenseError(f"a map of {height}×{width} is not divisible by its stride")
        views = len(x) // self.images
        if self.strides.setdefault(views, stride) != stride:
            raise NotDenseError("its branches are subsampled in different steps")


class Windowed(nn.Module):
    """A convolution or pooling window at stride 1 on a torus, then every grid.

    Args:
        window: The layer with stride 1 and no padding.
        before: Pixels (rows, columns) that the window reaches back.
        after: Pixels that it reaches ahead.
        stride: The layer's own stride.
        trace: Told about the batch.
    """

    def __init__(
        self,
        window: Callable[[Tensor], Tensor],
        before: tuple[int, int],
        after: tuple[int, int],
        stride: tuple[int, int],
        trace: Trace,
    ) -> None:
        super().__init__()
        self.window, self.trace, self.stride = window, trace, stride
        self.before = before
        self.amounts = (before[1], after[1], before[0], after[0])

    def forward(self, x: Tensor) -> Tensor:
        """Return the layer's output on every grid."""
        y = self.slide(x)
        if self.stride == (1, 1):
            return y
        self.trace.split(x, self.stride)
        return space_to_batch(y, self.stride)

    def slide(self, x: Tensor) -> Tensor:
        """Return the window's output at every position."""
        return self.window(pad2d(x, self.amounts, "circular"))


class WindowedConv(Windowed):
    """The same for a convolution, which on small maps goes through the frequency domain."""

    window: nn.Conv2d

    def slide(self, x: Tensor) -> Tensor:
        """Return the convolution at every position."""
        conv = self.window
        if conv.groups > 1 or not worth_it(x, conv.weight):
            return super().slide(x)
        return self._spectral((int(x.shape[2]), int(x.shape[3])))(x)

    def _spectral(self, size: tuple[int, int]) -> SpectralConv:
        prepared: dict[tuple[int, int], SpectralConv] = self.__dict__.setdefault("prepared", {})
        if size not in prepared:
            conv = self.window
            prepared[size] = SpectralConv(
                conv.weight, conv.bias, size, self.before, _pair(conv.dilation)
            )
        return prepared[size]


class AllPhases(nn.Module):
    """A pool with a method ``all_phases``."""

    def __init__(self, pool: nn.Module, stride: tuple[int, int], trace: Trace) -> None:
        super().__init__()
        self.pool, self.stride, self.trace = pool, stride, trace

    def forward(self, x: Tensor) -> Tensor:
        """Return the pool's output on every grid."""
        self.trace.split(x, self.stride)
        phases: Tensor = self.pool.all_phases(x)  # type: ignore[operator]
        return phases


class AllPhasesByContent(nn.Module):
    """A pool that picks its grid by content: it is shown every roll of its input."""

    def __init__(self, pool: nn.Module, stride: tuple[int, int], trace: Trace) -> None:
        super().__init__()
        self.pool, self.stride, self.trace = pool, stride, trace

    def phase(self, x: Tensor) -> Tensor:
        """Return the grid that the pool picks for every roll of every item."""
        picked: Tensor = self.pool.phase(rolls_to_batch(x, self.stride, -1))  # type: ignore[operator]
        return picked

    def forward(self, x: Tensor, phase: Tensor | None = None) -> Tensor:
        """Return the pool's output for every roll of every item."""
        self.trace.split(x, self.stride)
        sampled: Tensor = self.pool(rolls_to_batch(x, self.stride, -1), phase)
        return sampled


class AllShifts(nn.Module):
    """A position-aware head, shown every circular shift of the last map."""

    def __init__(self, head: nn.Module, trace: Trace) -> None:
        super().__init__()
        self.head, self.trace = head, trace

    def forward(self, x: Tensor) -> Tensor:
        """Return the head's output for every shift of every item, row-major."""
        size = (int(x.shape[2]), int(x.shape[3]))
        if self.trace.shifts is not None:  # every shift is in the batch already
            plain: Tensor = self.head(x)
            return plain
        self.trace.shifts = size
        all_shifts = getattr(self.head, "all_shifts", None)
        if all_shifts is not None:
            logits: Tensor = all_shifts(x)
            return logits
        output: Tensor = self.head(rolls_to_batch(x, size, 1))
        return output


def dense_layer(module: nn.Module, trace: Trace) -> nn.Module | None:
    """Return the dense form of a layer, None where it needs none.

    Raises:
        NotDenseError: If the layer is not one on a torus.
    """
    if hasattr(module, "all_phases") or hasattr(module, "phase"):
        return _dense_pool(module, trace)
    if isinstance(module, nn.Conv2d):
        return _dense_conv(module, trace)
    if isinstance(module, nn.MaxPool2d | nn.AvgPool2d):
        return _dense_window_pool(module, trace)
    if isinstance(module, nn.Flatten) or getattr(module, "is_global", None) is False:
        return AllShifts(module, trace)
    if isinstance(module, nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool2d):
        return None if module.output_size in (1, (1, 1)) else AllShifts(module, trace)
    return None


def _dense_pool(module: nn.Module, trace: Trace) -> nn.Module | None:
    stride = _pair(module.stride)
    pad = getattr(module, "pad", "circular")
    if pad != "circular":
        raise NotDenseError(f"a {type(module).__name__} pads with {pad}")
    if stride == (1, 1):
        return None
    kind = AllPhasesByContent if hasattr(module, "phase") else AllPhases
    return kind(module, stride, trace)


def _dense_conv(conv: nn.Conv2d, trace: Trace) -> nn.Module | None:
    if isinstance(conv.padding, str):
        raise NotDenseError(f"a convolution has padding='{conv.padding}'")
    if any(conv.padding) and conv.padding_mode != "circular":
        raise NotDenseError(f"a convolution pads with {conv.padding_mode}")
    reach = tuple(d * (k - 1) for d, k in zip(conv.dilation, conv.kernel_size, strict=True))
    if conv.stride == (1, 1) and reach != (2 * conv.padding[0], 2 * conv.padding[1]):
        raise NotDenseError("a convolution changes the size of its map by its border")
    plain = copy.copy(conv)
    plain.stride, plain.padding, plain.padding_mode = (1, 1), (0, 0), "zeros"
    before = _pair(conv.padding)
    after = (reach[0] - before[0], reach[1] - before[1])
    return WindowedConv(plain, before, after, _pair(conv.stride), trace)


def _dense_window_pool(pool: nn.MaxPool2d | nn.AvgPool2d, trace: Trace) -> nn.Module:
    kernel, stride, padding = (_pair(v) for v in (pool.kernel_size, pool.stride, pool.padding))
    if any(padding):
        raise NotDenseError(f"a {type(pool).__name__} pads with a border of its own")
    before = _pair(getattr(pool, "torus_padding", 0))
    if stride == (1, 1) and kernel != (2 * before[0] + 1, 2 * before[1] + 1):
        raise NotDenseError(f"a {type(pool).__name__} changes the size of its map by its border")
    if _pair(getattr(pool, "dilation", 1)) != (1, 1):
        raise NotDenseError(f"a {type(pool).__name__} is dilated")
    run = F.max_pool2d if isinstance(pool, nn.MaxPool2d) else F.avg_pool2d
    after = (kernel[0] - 1 - before[0], kernel[1] - 1 - before[1])
    return Windowed(lambda x: run(x, kernel, stride=1), before, after, stride, trace)


def _pair(value: object) -> tuple[int, int]:
    if isinstance(value, tuple | list):
        return int(value[0]), int(value[1])
    return int(value), int(value)  # type: ignore[call-overload]
