"""Which calls of a forward pass shift with the images, on a torus."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from shiftbench.surgery.watching import Call

# By number type: of the spread (standard deviation) of a feature map, and of its largest value.
# float32 rounds to 1e-7 of the latter, and layers enlarge that; a border that does not wrap changes
# the map next to it by about its spread.
TOLERANCE = {torch.float32: (1e-4, 1e-5), torch.float64: (1e-7, 1e-10)}

# What may reach over an edge; ``adaptive_*`` pooling has cells, which do not.
WINDOWED = frozenset((
    "conv2d", "conv_transpose2d", "max_pool2d", "max_pool2d_with_indices", "avg_pool2d",
    "lp_pool2d", "fractional_max_pool2d", "fractional_max_pool2d_with_indices", "pad", "unfold",
    "interpolate", "upsample", "grid_sample", "pixel_unshuffle", "__getitem__",
))  # fmt: skip
# Parts of a map that are filled or read one by one.
WRITES = ("copy_", "__setitem__")
# What a head that reads positions begins with.
READS_POSITIONS = ("linear", "addmm", "matmul", "mm")
MOST_PREFIX_TOKENS = 5  # class and distillation tokens, registers
MOVES = "what it returns does not shift with the images"

Size = tuple[int, int]


@dataclass(frozen=True)
class Window:
    """A windowed call: who makes it, and the sizes of the feature maps before and after it."""

    module: str
    function: str
    before: Size
    after: Size

    @property
    def is_global(self) -> bool:
        """Whether it leaves one pixel of several: the pooling of a head."""
        return self.after == (1, 1) != self.before


def window_of(call: Call) -> Window | None:
    """Return the sizes of a windowed call, None where it is none or not on maps."""
    inputs, outputs = call.inputs(), call.outputs()
    if call.function not in WINDOWED or not inputs or inputs[0].ndim != 4 or outputs[0].ndim < 3:
        return None
    if call.function == "conv2d" and _has_no_window(call):
        return None
    if call.function == "unfold" and outputs[0].ndim != 3:  # the method of that name
        return None
    if call.function == "__getitem__" and not _takes_every_sth(call.args[1]):
        return None
    before = int(inputs[0].shape[2]), int(inputs[0].shape[3])
    after = before if outputs[0].ndim == 3 else (outputs[0].shape[2], outputs[0].shape[3])
    if call.function == "pad" and (before == after or any(call.argument(1, "pad")[4:])):
        return None  # of channels, or of maps whose channels are last
    return Window(call.module, call.function, before, after)


def _has_no_window(call: Call) -> bool:
    """Return whether a convolution works on each position by itself, whatever is in a row."""
    single = tuple(call.argument(1, "weight").shape[2:]) == (1, 1)
    strides, border = call.argument(3, "stride", 1), call.argument(4, "padding", 0)
    return single and strides in (1, (1, 1)) and border in (0, (0, 0), "valid", "same")


def _takes_every_sth(index: Any) -> bool:
    """Return whether an index of a map ``(N, C, H, W)`` keeps every s-th row and column."""
    steps = [i.step for i in index if isinstance(i, slice)] if isinstance(index, tuple) else []
    return len(steps) == 4 == len(index) and any(step not in (None, 1) for step in steps[2:])


@dataclass(frozen=True)
class Miss:
    """A call whose output does not shift with the images.

    Attributes:
        index: Of the call, in the order of execution.
        module: The innermost module that makes it.
        function: Name of the torch function, "" for the module itself.
        reason: How that shows, after "it does not wrap around, ".
        reads_positions: Whether a head may begin with it.
    """

    index: int
    module: str
    function: str
    reason: str
    reads_positions: bool


@dataclass
class Observer:
    """Compares what every call returns for an image and for that image shifted.

    A batch is the image, the same shifted down, the same shifted to the right, and another image.

    Attributes:
        size: (H, W) of the images.
        shift: Pixels down and to the right.
        layers: Names of the modules without children; what they compute on the way to their
            output is their own affair, but for windows.
        windows: How many windowed calls there were.
        misses: Windowed calls that do not shift.
        first: The first call of any kind that does not.
    """

    size: Size
    shift: Size
    layers: frozenset[str]
    windows: int = 0
    misses: list[Miss] = field(default_factory=list)
    first: Miss | None = None
    _index: int = 0
    _last_window: int = 0

    def __post_init__(self) -> None:
        self._maps = {self.size}  # sizes of feature maps

    def see(self, call: Call) -> None:
        """Note whether what the call returns shifts."""
        self._index += 1
        output = next(iter(call.outputs()), None)
        if output is None:
            return
        if (window := window_of(call)) is not None:
            self.windows += 1
            if len(output) == 4:
                self._see_window(call, window, output)
        elif self.first is None and self._concerns(call) and self._misses(call, output):
            self.first = self._miss(call, MOVES, _reads_positions(call, output))

    def is_head(self, miss: Miss) -> bool:
        """Return whether a miss is where a head begins that reads positions."""
        return miss.reads_positions and miss.index >= self._last_window

    def _miss(self, call: Call, reason: str, reads_positions: bool) -> Miss:
        return Miss(self._index, call.module, call.function, reason, reads_positions)

    def _concerns(self, call: Call) -> bool:
        if call.function in WINDOWED or call.function in WRITES:
            return False
        inner = call.function and call.module in self.layers
        return not inner or _may_read_positions(call)

    def _misses(self, call: Call, output: Tensor) -> bool:
        follows = self._follows(output)
        if call.function.startswith("adaptive_"):
            return not follows
        return follows is False

    def _see_window(self, call: Call, window: Window, output: Tensor) -> None:
        if not window.is_global and window.before != (1, 1):
            self._last_window = self._index
        reason = self._problem(call, window, output)
        if not reason:
            if call.function != "pad":
                self._maps.add(window.after)
            return
        miss = self._miss(call, reason, window.is_global)
        if not window.is_global:
            self.misses.append(miss)
        self.first = self.first or miss

    def _problem(self, call: Call, window: Window, output: Tensor) -> str:
        """Return why a window does not shift with the images, "" where it does."""
        if window.is_global:
            return "" if self._same(output) else MOVES
        if call.function == "pad":
            return "" if _wrapped(call.inputs()[0], output, call.argument(1, "pad")) else MOVES
        if call.function == "unfold":
            return MOVES if self._follows(output) is False else ""
        if not divides(self.size, window.after):
            rows, columns = window.after
            return f"the {rows}×{columns} pixels that it leaves do not divide the image"
        return MOVES if self._rolls(output) is False else ""

    def _follows(self, output: Tensor) -> bool | None:
        """Return whether an output shifts or stays, None where that is not known."""
        if output.ndim not in (2, 3, 4) or len(output) != 4 or not output.is_floating_point():
            return None
        if self._same(output):
            return True
        found = [self._rolls(as_map) for as_map in self._as_maps(output)]
        known = [one for one in found if one is not None]
        if not known:
            return False if output.ndim == 2 else None
        return any(known)

    def _as_maps(self, output: Tensor) -> Iterator[Tensor]:
        """Yield the maps ``(4, C, h, w)`` that an output may be."""
        for height, width in self._maps:
            count = height * width
            if output.ndim == 4 and output.shape[2:] == (height, width):
                yield output
            if output.ndim == 4 and output.shape[1:3] == (height, width):
                yield output.permute(0, 3, 1, 2)
            if output.ndim == 4 and output.shape[2] == output.shape[3] == count:  # attention
                yield output.unflatten(3, (height, width)).flatten(1, 2)
            if output.ndim == 2 and count > 1 and output.shape[1] % count == 0:
                yield output.unflatten(1, (-1, height, width))
                yield output.unflatten(1, (height, width, -1)).permute(0, 3, 1, 2)
            if output.ndim == 3:
                yield from _tokens(output, height, width)
                yield from _tokens(output.transpose(1, 2), height, width)

    def _rolls(self, maps: Tensor) -> bool | None:
        """Return whether maps ``(4, C, h, w)`` roll as the images do, None if it is not whole."""
        parts = int(maps.shape[2]), int(maps.shape[3])
        amounts = [d * p / s for d, p, s in zip(self.shift, parts, self.size, strict=True)]
        if not divides(self.size, parts) or any(amount % 1 for amount in amounts):
            return None
        rows, columns = (int(amount) for amount in amounts)
        return close(maps[0].roll(rows, 1), maps[1]) and close(maps[0].roll(columns, 2), maps[2])

    def _same(self, output: Tensor) -> bool:
        return close(output[0], output[1]) and close(output[0], output[2])


def _may_read_positions(call: Call) -> bool:
    return call.function in READS_POSITIONS or call.function.startswith("adaptive_")


def _reads_positions(call: Call, output: Tensor) -> bool:
    """Return whether a head that reads positions may begin with a call that does not shift."""
    return _may_read_positions(call) and (output.ndim == 2 or call.function[:4] == "adap")


def divides(size: Size, part: Size) -> bool:
    """Return whether one map's sides are whole multiples of the other's, or the reverse."""
    return all(p and (s % p == 0 or p % s == 0) for s, p in zip(size, part, strict=True))


def close(one: Tensor, other: Tensor) -> bool:
    """Return whether two maps are the same up to rounding."""
    if not one.is_floating_point():
        return bool(torch.equal(one, other))
    gap = (one - other).abs().max()
    spread = one.std() if one.numel() > 1 else one.new_zeros(())
    of_spread, of_largest = TOLERANCE.get(one.dtype, TOLERANCE[torch.float32])
    return bool(gap <= of_spread * spread + of_largest * one.abs().max())


def _tokens(output: Tensor, height: int, width: int) -> Iterator[Tensor]:
    """Yield the map of tokens ``(4, L, C)``, those in front that have no place left out."""
    prefix = output.shape[1] - height * width
    if 0 <= prefix <= MOST_PREFIX_TOKENS:
        yield output[:, prefix:].unflatten(1, (height, width)).permute(0, 3, 1, 2)


def _wrapped(x: Tensor, padded: Tensor, amounts: Any) -> bool:
    """Return whether the border of ``padded`` is the other side of the map ``x``."""
    rows = torch.arange(padded.shape[2], device=x.device)
    columns = torch.arange(padded.shape[3], device=x.device)
    left, top = int(amounts[0]), int(amounts[2]) if len(amounts) > 2 else 0
    inside = x[:, :, (rows - top) % x.shape[2]][:, :, :, (columns - left) % x.shape[3]]
    return inside.shape == padded.shape and close(inside, padded)
