"""Layers that keep every sampling grid instead of one: what the dense engine is made of.

A layer of stride s is a layer of stride 1 followed by "keep every s-th sample". On a torus a shift
of the input by d moves that sampling grid: the samples of the shifted input are the samples of the
unshifted one on grid p = −d mod s, shifted by the whole number (d + p) / s. So all s² grids, put
side by side in the batch, hold the layer's answer to every shift, and so on, layer after layer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor, nn

from shiftbench.ops.fourier_conv_inference import SpectralConv, worth_it
from shiftbench.ops.geometry import rolls_to_batch, space_to_batch
from shiftbench.ops.padding import pad2d


class NotDenseError(Exception):
    """Why a network cannot be measured densely, as the end of a sentence."""


@dataclass
class Trace:
    """What the layers of one dense pass did to the batch.

    Attributes:
        images: Images in the pass.
        strides: (sy, sx) by how many views of each image there were before the layer.
        shifts: (h, w) of the last map where a position-aware head was shown all its shifts.
        shown: Items of the batch after that.
    """

    images: int = 0
    strides: dict[int, tuple[int, int]] = field(default_factory=dict)
    shifts: tuple[int, int] | None = None
    shown: int = 0

    def start(self, images: int) -> None:
        """Begin a pass over so many images."""
        self.images, self.shifts, self.shown = images, None, 0
        self.strides.clear()

    def split(self, x: Tensor, stride: tuple[int, int]) -> None:
        """Note that every item of the batch ``x (B, C, H, W)`` becomes one item for each grid.

        Raises:
            NotDenseError: If the grids of this layer do not lie on those of the others.
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
        """Return whether a head that reads ``x (B, C, h, w)`` has to be shown all its shifts.

        Raises:
            NotDenseError: If another head was shown the shifts of another map.
        """
        size = (int(x.shape[2]), int(x.shape[3]))
        if self.shifts is None:
            self.shifts, self.shown = size, len(x) * size[0] * size[1]
            return True
        if len(x) != self.shown:
            raise NotDenseError("a dense pass fails (it reads positions of several maps)")
        return False


class Windowed(nn.Module):
    """A convolution or pooling window at stride 1 on a torus, then every grid.

    Args:
        window: The layer with stride 1 and no padding.
        before: Pixels (rows, columns) that the window reaches back.
        after: Pixels that it reaches ahead.
        stride: The layer's own stride.
        trace: Notes what happens to the batch.
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
        hooked = conv._forward_hooks or conv._forward_pre_hooks  # they want the layer itself to run
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
        # A map of one position has no shifts: squeeze-and-excite flattens such on its way.
        if x.ndim != 4 or x.shape[2:].numel() == 1 or not self.trace.show(x):
            plain: Tensor = self.head(x)
            return plain
        all_shifts = getattr(self.head, "all_shifts", None)
        if all_shifts is not None:
            logits: Tensor = all_shifts(x)
            return logits
        size = (int(x.shape[2]), int(x.shape[3]))
        output: Tensor = self.head(rolls_to_batch(x, size, 1))
        return output
