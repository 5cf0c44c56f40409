"""Test of circularity: shifts of noise images by the network's total stride."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from shiftbench.errors import ShiftbenchError
from shiftbench.surgery.copying import ImageShape, for_trial, noise
from shiftbench.surgery.equivariance import Miss, Observer, Window, window_of
from shiftbench.surgery.rolling import TOLERANCE, Rolling, Size, divides
from shiftbench.surgery.watching import Call, titled, watch

# Images are enlarged to a multiple of this: once or twice the total stride of most networks.
LARGER = 64


def require_circular(model: nn.Module, original: nn.Module, shape: ImageShape) -> None:
    """Refuse a network whose feature maps do not shift with its images on a torus.

    One batch holds a noise image, unshifted and shifted by the total stride along each axis. The
    output of every convolution, pooling window and border must shift with it, and the logits must
    not change, relative to their difference from those of another image. If they change, the cause
    must be the head: a linear layer on flattened maps, or adaptive pooling, behind the last window.

    Args:
        model: In any mode; it is not modified.
        original: The original network, whose class names appear in errors.
        shape: ``(C, H, W)`` of the images. If the strides do not divide their sides, or leave
            too few pixels to shift, larger images are used if the network accepts them.

    Raises:
        ShiftbenchError: Naming the first layer that does not wrap around.
    """
    culprit, shift = _measured(for_trial(model), shape)
    if culprit is not None:
        # Networks may amplify rounding; in float64 it stays far below the tolerance.
        with suppress(Exception):  # some networks always compute in float32
            culprit, shift = _measured(for_trial(model, torch.float64), shape)
    if culprit is not None:
        raise ShiftbenchError(_refusal(original, culprit, shift))


def _measured(model: nn.Module, shape: ImageShape) -> tuple[Miss | None, Size]:
    """Return the first call that breaks circularity, and the tested shift."""
    sized, sizes = _choose_shape(model, shape)
    shift = _total_stride(sized, sizes)
    layers = (name for name, module in model.named_modules() if not [*module.children()])
    observer = Observer(Rolling(sized[1:], shift), frozenset(layers) - {""})
    first, other = noise(model, 2, sized).split(1)
    down, right = first.roll(shift[0], 2), first.roll(shift[1], 3)
    try:
        output = watch(model, torch.cat([first, down, right, other]), observer.see)
    except Exception:  # a head with a fixed input size, behind all windows
        if observer.windows < len(sizes.windows):
            raise
        output = None
    return _culprit(observer, output), shift


def _culprit(observer: Observer, output: Any) -> Miss | None:
    """Return the first call that breaks circularity, None if there is none."""
    if observer.misses:
        return observer.first
    if not isinstance(output, Tensor) or output.ndim != 2 or _stay(output):
        return None
    observer.see(Call("", "", (), {}, output))  # calls inside TorchScript are not observed
    first = observer.first
    return None if first is None or observer.is_head(first) else first


def _refusal(model: nn.Module, culprit: Miss, shift: Size) -> str:
    by = f" in {culprit.function}" if culprit.function else ""
    return (
        f"padding=circular cannot be given to this network: {titled(model, culprit.module)} does "
        f"not wrap around{by}, {culprit.reason} (shifted by {shift[0]} and {shift[1]} pixels); "
        "measure the network with its own borders (padding=zeros)"
    )


def _stay(logits: Tensor) -> bool:
    """Return whether the logits of the shifted images are those of the image."""
    spread = float((logits[0] - logits[3]).abs().max())
    moved = float((logits[1:3] - logits[:1]).abs().max())
    tolerance, rounding = TOLERANCE[logits.dtype]
    resolved = spread > 10 * rounding * float(logits.abs().max())
    return resolved and moved <= tolerance * spread


@dataclass
class _Sizes:
    """The sizes of the feature maps in a forward pass.

    Attributes:
        windows: The calls with windows.
        maps: Sizes of the outputs of modules and windows.
        runs: Whether the network accepts the images.
    """

    windows: list[Window] = field(default_factory=list)
    maps: list[Size] = field(default_factory=list)
    runs: bool = True

    def see(self, call: Call) -> None:
        """Record the sizes of a call."""
        window, output = window_of(call), next(iter(call.outputs()), None)
        if window is not None:
            self.windows.append(window)
        elif not call.function and output is not None and output.ndim == 4:
            self.maps.append((int(output.shape[2]), int(output.shape[3])))

    def strides(self, shape: ImageShape, axis: int) -> tuple[list[int], list[int]]:
        """Return the strides of the windows along an axis, and those of modules' outputs."""
        height, width = shape[1:]
        windows = [w.after for w in self.windows if not w.is_global and w.function != "pad"]
        others = [(h, w) for h, w in self.maps if h and w and height // h == width // w]
        side = shape[1 + axis]
        return _strides(side, [w[axis] for w in windows]), _strides(side, [w[axis] for w in others])


def _sizes(model: nn.Module, shape: ImageShape) -> _Sizes:
    sizes = _Sizes()
    try:
        watch(model, noise(model, 1, shape), sizes.see)
    except Exception:  # e.g. a head with a fixed input size
        sizes.runs = False
    return sizes


def _choose_shape(model: nn.Module, shape: ImageShape) -> tuple[ImageShape, _Sizes]:
    """Return a shape that all strides divide, with several pixels left, and its map sizes."""
    own = _sizes(model, shape)
    if _fits(own.windows, shape):
        return shape, own
    for least in (LARGER, 2 * LARGER, 4 * LARGER):
        rows, columns = (math.ceil(max(side, least) / LARGER) * LARGER for side in shape[1:])
        larger = shape[0], rows, columns
        sizes = _sizes(model, larger)
        whole = sizes.runs or len(sizes.windows) == len(own.windows)
        if whole and _fits(sizes.windows, larger):
            return larger, sizes
    return shape, own


def _fits(windows: list[Window], shape: ImageShape) -> bool:
    """Return whether the strides divide the images' sides and leave several pixels."""
    known: set[Size] = {shape[1:]}
    for window in windows:
        if window.is_global and min(window.before) <= 3:  # a stride on a map of one pixel
            return False
        if window.is_global or window.function in ("pad", "unfold") or window.before == (1, 1):
            continue
        before = {window.before} & known or known  # otherwise a map with a border
        if not any(divides(size, window.after) for size in before):
            return False
        known.add(window.after)
    return True


def _total_stride(shape: ImageShape, sizes: _Sizes) -> Size:
    """Return the total stride along each axis, at most half of the image."""
    shifts = []
    for axis in (0, 1):
        side = shape[1 + axis]
        windows, others = sizes.strides(shape, axis)
        stride = max(windows, default=1)
        # Subsampling without a window, e.g. a module that moves pixels to channels.
        for other in others:
            both = math.lcm(stride, other)
            stride = both if 2 * both <= side else stride
        shifts.append(stride if sizes.windows else max(1, side // 2))
    return shifts[0], shifts[1]


def _strides(side: int, sizes: list[int]) -> list[int]:
    return sorted({side // size for size in sizes if size > 1 and side % size == 0})
