"""Layers of the dense engine, which keep all sampling grids instead of one.

A layer of stride s is a layer of stride 1 followed by subsampling by s. On a torus, shifting the
input by d is equivalent to moving the sampling grid: the samples of the shifted input are those of
the unshifted one on grid p = −d mod s, shifted by the integer (d + p) / s. All s² grids, stacked
along the batch axis, therefore contain the layer's output for every shift; so do the outputs of
later layers, which treat each grid as an image.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor, nn

from shiftbench.head.base import Head
from shiftbench.ops.fourier_conv_inference import SpectralConv, worth_it
from shiftbench.ops.geometry import rolls_to_batch, space_to_batch
from shiftbench.ops.padding import pad2d
from shiftbench.pool.base import Downsampling


class NotDenseError(Exception):
    """The dense engine does not apply; the message, the end of a sentence, gives the reason."""


@dataclass
class Trace:
    """Record of how the layers of one dense pass enlarged the batch.

    Attributes:
        images: Number of images in the pass.
        strides: Stride (sy, sx) of a layer, by the number of views per image before the layer.
        shifts: (h, w) of the last feature map, if a position-aware head received all its shifts.
        shown: Batch size after expanding these shifts.
    """

    images: int = 0
    strides: dict[int, tuple[int, int]] = field(default_factory=dict)
    shifts: tuple[int, int] | None = None
    shown: int = 0

    def start(self, images: int) -> None:
        """Reset the record for a pass over ``images`` images."""
        self.images, self.shifts, self.shown = images, None, 0
        self.strides.clear()

    def split(self, x: Tensor, stride: tuple[int, int]) -> None:
        """Record that every item of the batch ``x (B, C, H, W)`` becomes one item per grid.

        Raises:
            NotDenseError: If the grids of this layer are incompatible with those of the others.
        """
        height, width = x.shape[-2:]
        if height % stride[0] or width % stride[1]:
            raise NotDenseError(f"a map of {height}×{width} is not divisible by its stride")
        if self.shifts is not None:
            raise NotDenseError("it subsamples after a step that reads positions")
        views = len(x) // self.images
        if self.strides.setdefault(views, stride) != stride:
            raise NotDenseError("its branches are subsampled in different steps")

    def show(self, x: Tensor) -> bool:
        """Return whether ``x (B, C, h, w)`` must be expanded to all shifts for a head.

        Raises:
            NotDenseError: If the shifts of a different feature map were expanded before.
        """
        size = (int(x.shape[2]), int(x.shape[3]))
        if self.shifts is None:
            self.shifts, self.shown = size, len(x) * size[0] * size[1]
            return True
        if len(x) != self.shown:
            raise NotDenseError("a dense pass fails (it reads positions of several maps)")
        return False


class Windowed(Downsampling):
    """A convolution or pooling window at stride 1 on a torus, followed by all sampling grids.

    Args:
        window: The layer with stride 1 and no padding.
        before: Extent (rows, columns) of the window before the output position.
        after: Extent of the window after it.
        stride: The stride of the original layer.
        trace: Record of the batch.
    """

    stride: tuple[int, int]

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
    """The same for a convolution, computed in the frequency domain if that is faster."""

    window: nn.Conv2d

    def slide(self, x: Tensor) -> Tensor:
        """Return the convolution at every position."""
        conv = self.window
        hooked = conv._forward_hooks or conv._forward_pre_hooks  # hooks need the layer to run
        if hooked or conv.groups > 1 or not worth_it(x, conv.weight):
            return super().slide(x)
        return self._spectral((int(x.shape[2]), int(x.shape[3])))(x)

    def _spectral(self, size: tuple[int, int]) -> SpectralConv:
        prepared: dict[tuple[int, int], SpectralConv] = self.__dict__.setdefault("prepared", {})
        if size not in prepared:
            conv = self.window
            dilation = (conv.dilation[0], conv.dilation[1])
            prepared[size] = SpectralConv(conv.weight, conv.bias, size, self.before, dilation)
        return prepared[size]


class AllPhases(Downsampling):
    """A pool that computes all grids by its method ``all_phases``."""

    stride: tuple[int, int]

    def __init__(self, pool: Downsampling, stride: tuple[int, int], trace: Trace) -> None:
        super().__init__()
        self.pool, self.stride, self.trace = pool, stride, trace

    def forward(self, x: Tensor) -> Tensor:
        """Return the pool's output on every grid."""
        self.trace.split(x, self.stride)
        return self.pool.all_phases(x)


class AllPhasesByContent(Downsampling):
    """A pool that selects its grid by content; it is evaluated on every roll of its input."""

    stride: tuple[int, int]

    def __init__(self, pool: Downsampling, stride: tuple[int, int], trace: Trace) -> None:
        super().__init__()
        self.pool, self.stride, self.trace = pool, stride, trace

    def phase(self, x: Tensor) -> Tensor:
        """Return the grid that the pool selects for every roll of every item."""
        return self.pool.phase(rolls_to_batch(x, self.stride, -1))

    def forward(self, x: Tensor, phase: Tensor | None = None) -> Tensor:
        """Return the pool's output for every roll of every item."""
        self.trace.split(x, self.stride)
        sampled: Tensor = self.pool(rolls_to_batch(x, self.stride, -1), phase)
        return sampled


class AllShifts(nn.Module):
    """A position-aware head, evaluated on every circular shift of the last feature map."""

    def __init__(self, head: nn.Module, trace: Trace) -> None:
        super().__init__()
        self.head, self.trace = head, trace

    def forward(self, x: Tensor) -> Tensor:
        """Return the head's output for every shift of every item, row-major."""
        # Squeeze-and-excite, for example, flattens 1×1 feature maps, which have no shifts.
        if x.ndim != 4 or x.shape[2:].numel() == 1 or not self.trace.show(x):
            plain: Tensor = self.head(x)
            return plain
        if isinstance(self.head, Head):
            return self.head.all_shifts(x)
        size = (int(x.shape[2]), int(x.shape[3]))
        output: Tensor = self.head(rolls_to_batch(x, size, 1))
        return output
