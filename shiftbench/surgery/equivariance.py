"""Detection of calls in a forward pass that are not shift-equivariant on a torus."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from shiftbench.surgery.rolling import Rolling, Size, divides, wrapped
from shiftbench.surgery.watching import Call
from shiftbench.surgery.windows import pair, pooled_size

# Windows that may exceed an edge; the cells of ``adaptive_*`` pooling do not.
WINDOWED = frozenset((
    "conv2d", "conv_transpose2d", "max_pool2d", "max_pool2d_with_indices", "avg_pool2d",
    "lp_pool2d", "fractional_max_pool2d", "fractional_max_pool2d_with_indices", "pad", "unfold",
    "interpolate", "upsample", "grid_sample", "pixel_unshuffle", "__getitem__",
))  # fmt: skip
# Functions that write or read single elements of a map.
WRITES = ("copy_", "__setitem__")
# First functions of a head that depends on positions.
READS_POSITIONS = ("linear", "addmm", "matmul", "mm")
MOVES = "its output does not shift with the images"


@dataclass(frozen=True)
class Window:
    """A call with windows: its module, and the map sizes of its input and output."""

    module: str
    function: str
    before: Size
    after: Size

    @property
    def is_global(self) -> bool:
        """Whether it reduces several pixels to one, as the pooling of a head."""
        return self.after == (1, 1) != self.before


def window_of(call: Call) -> Window | None:
    """Return the sizes of a call with windows, None for other calls or inputs."""
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
    unfolds = outputs[0].ndim == 3
    after = _grid(call, before) if unfolds else (outputs[0].shape[2], outputs[0].shape[3])
    if call.function == "pad" and (before == after or any(call.argument(1, "pad")[4:])):
        return None  # on channels, or on channels-last maps
    return Window(call.module, call.function, before, after)


def _grid(call: Call, size: Size) -> Size:
    """Return the number of patches of ``F.unfold``: (rows, columns)."""
    kernel, dilation = pair(call.argument(1, "kernel_size")), pair(call.argument(2, "dilation", 1))
    border, stride = pair(call.argument(3, "padding", 0)), pair(call.argument(4, "stride", 1))
    rows, columns = (
        pooled_size(size[i], kernel[i], stride[i], border[i], dilation[i], False) for i in (0, 1)
    )
    return rows, columns


def _has_no_window(call: Call) -> bool:
    """Return whether a convolution works on each position separately."""
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
        index: Index of the call in the order of execution.
        module: The innermost module that makes it.
        function: Name of the torch function, "" for the module itself.
        reason: The evidence, to follow "it does not wrap around, ".
        reads_positions: Whether it may be the first call of a head.
        features: Number of outputs for each image.
    """

    index: int
    module: str
    function: str
    reason: str
    reads_positions: bool
    features: int


@dataclass
class Observer:
    """Checks every call of a pass for outputs that do not shift with the images.

    Attributes:
        rolling: The images and their shift.
        layers: Names of the modules without children; of their inner calls, only windows are
            checked.
        windows: Number of calls with windows.
        misses: Calls with windows that do not shift.
        first: The first call of any kind that does not shift.
    """

    rolling: Rolling
    layers: frozenset[str]
    windows: int = 0
    misses: list[Miss] = field(default_factory=list)
    first: Miss | None = None
    _index: int = 0
    _last_map: int = 0  # index of the last call that leaves several pixels
    _head: tuple[int, int] = (0, 0)  # index and inputs of calls on whole maps behind the first

    def __post_init__(self) -> None:
        # By map size that is no fraction of the image: its origin; None if a border wraps.
        self._origins: WeakTensorKeyDictionary = WeakTensorKeyDictionary()

    def see(self, call: Call) -> None:
        """Record whether the output of the call shifts."""
        self._index += 1
        output = next(iter(call.outputs()), None)
        if output is None:
            return
        if output.ndim == 4 and tuple(output.shape[2:]) != (1, 1):
            self._last_map = self._index
        window = window_of(call)
        if self.first is not None and not any(self._head):
            given = _rows(call) or _whole(call, window)
            self._head = (self._index, given) if given else (0, 0)
        if window is not None:
            self.windows += 1
            if len(output) == 4:
                self._see_window(call, window, output)
        elif self.first is None and self._concerns(call) and self._misses(call, output):
            self.first = self._miss(call, MOVES, _reads_positions(call, output))

    def is_head(self, miss: Miss) -> bool:
        """Return whether a miss is the first call of a head that depends on positions.

        No feature maps follow it. Adaptive pooling that leaves several pixels is such a call if a
        linear layer, or a convolution that leaves one pixel, receives all of them.
        """
        begins, given = miss.index, miss.features
        if miss.function.startswith("adaptive_"):
            begins, given = self._head
        return miss.reads_positions and given >= miss.features and begins > self._last_map

    def _miss(self, call: Call, reason: str, reads_positions: bool) -> Miss:
        """Return a miss, attributed to the origin of the input map if sizes do not fit."""
        origin: Miss | None = next(filter(None, self._origins_of(call)), None)
        features = int(call.outputs()[0][0].numel())
        own = Miss(self._index, call.module, call.function, reason, reads_positions, features)
        return origin or own

    def _origins_of(self, call: Call) -> list[Miss | None]:
        return [self._origins[tensor] for tensor in call.inputs() if tensor in self._origins]

    def _concerns(self, call: Call) -> bool:
        if call.function in WINDOWED or call.function in WRITES:
            return False
        inner = call.function and call.module in self.layers
        return not inner or _may_read_positions(call)

    def _misses(self, call: Call, output: Tensor) -> bool:
        if call.function.startswith("adaptive_") and output.ndim == 4:
            shifts = self.rolling.same(output) or bool(self.rolling.rolls(output))
            self.rolling.maps |= {(output.shape[2], output.shape[3])} if shifts else set()
            return not shifts
        follows = self.rolling.follows(output)
        if follows is None and output.ndim == 4 and output not in self._origins:
            bordered = self._origins_of(call) and not any(self._origins_of(call))
            self._origins[output] = None if bordered else self._miss(call, MOVES, False)
        return follows is False

    def _see_window(self, call: Call, window: Window, output: Tensor) -> None:
        reason = self._problem(call, window, output)
        if not reason and call.function == "pad":
            self._origins[output] = next(filter(None, self._origins_of(call)), None)
        elif not reason:
            self.rolling.maps.add(window.after)
        if not reason:
            return
        miss = self._miss(call, reason, _whole(call, window) > 0)
        if not window.is_global:
            self.misses.append(miss)
        self.first = self.first or miss

    def _problem(self, call: Call, window: Window, output: Tensor) -> str:
        """Return why a window does not shift with the images, "" if it does."""
        rolling = self.rolling
        if window.is_global:
            return "" if rolling.same(output) else MOVES
        if call.function == "pad":
            return "" if wrapped(call.inputs()[0], output, call.argument(1, "pad")) else MOVES
        if call.function == "unfold":
            rolling.maps.add(window.after)
            return MOVES if rolling.follows(output) is False else ""
        if not divides(rolling.size, window.after):
            rows, columns = window.after
            return f"the {rows}×{columns} pixels that it leaves do not divide the image"
        return MOVES if rolling.rolls(output) is False else ""


def _may_read_positions(call: Call) -> bool:
    return call.function in READS_POSITIONS or call.function.startswith("adaptive_")


def _reads_positions(call: Call, output: Tensor) -> bool:
    """Return whether a call that does not shift may be the first of a head."""
    several = output.ndim == 4 and tuple(output.shape[2:]) != (1, 1)
    return _rows(call) > 0 or (call.function.startswith("adaptive_") and several)


def _whole(call: Call, window: Window | None) -> int:
    """Return the inputs per image of a convolution to one pixel, otherwise 0."""
    one = window is not None and window.is_global and call.function == "conv2d"
    return int(call.inputs()[0][0].numel()) if one else 0


def _rows(call: Call) -> int:
    """Return the inputs per image of a linear layer on flattened maps, otherwise 0."""
    rows = (t for t in call.inputs() if t.ndim == 2 and len(t) == len(call.outputs()[0]))
    return next((t.shape[1] for t in rows if call.function in READS_POSITIONS), 0)
