"""Modules whose own forward pass runs with replaced torch functions.

The treatment of weights by a subclass of ``nn.Conv2d``, or padding by a function, need not be
known: the module runs its own code, with convolutions, pooling windows and borders that wrap
around, or that are computed at every position.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, SupportsIndex

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from shiftbench.ops.padding import pad2d, wrap_amounts
from shiftbench.surgery.windows import Pair, dense_avg, dense_conv, dense_max, pair, pooled_size

Override = Callable[..., Any]


class _Overriding(TorchFunctionMode):
    """Replaces the functions of ``overrides`` while it is entered."""

    def __init__(self, overrides: Mapping[Any, Override]) -> None:
        super().__init__()
        self.overrides = overrides

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        return self.overrides.get(func, func)(*args, **(kwargs or {}))


def subclass(module: nn.Module, mixin: type[nn.Module]) -> None:
    """Add the methods of ``mixin`` to ``module``, which keeps its identity and class name."""
    module.__class__ = _subclassed(type(module), (mixin,))


def _subclassed(kind: type[nn.Module], mixins: tuple[type[nn.Module], ...]) -> type[nn.Module]:
    """Return ``kind`` with the methods of ``mixins``, the last of them in front."""
    for mixin in mixins:
        about = {
            "__doc__": kind.__doc__, "__module__": kind.__module__, "__reduce_ex__": _reduced,
            "_made_of": (kind, mixin),
        }  # fmt: skip
        kind = type(kind.__name__, (mixin, kind), about)
    return kind


def _reduced(module: nn.Module, protocol: SupportsIndex) -> tuple[Any, ...]:
    """Return how to pickle a module whose class has no name of its own."""
    kind, mixins = type(module), []
    while "_made_of" in vars(kind):
        kind, mixin = vars(kind)["_made_of"]
        mixins.append(mixin)
    plain: Any = object.__reduce_ex__(module, protocol)
    return (_empty, (kind, tuple(reversed(mixins))), *plain[2:])


def _empty(kind: type[nn.Module], mixins: tuple[type[nn.Module], ...]) -> nn.Module:
    """Return a module without attributes, which unpickling sets."""
    subclassed = _subclassed(kind, mixins)
    return subclassed.__new__(subclassed)


class WrapsAround(nn.Module):
    """A mixin: borders that the module or its children pad by functions wrap around."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Return the module's output on a torus."""
        with _Overriding(_WRAPPED):
            return super().forward(*args, **kwargs)


class EveryPosition(nn.Module):
    """A mixin: the module's strided convolution at every position, with its own border.

    ``x: (N, C, H, W) -> (N, C', H', W')``, s positions for each strided one, which is the first
    of every s.

    Attributes:
        step: The stride (rows, columns).
        pad: Values beyond the last strided window: ``zeros`` or ``circular``.
    """

    step: Pair
    pad: str

    def forward(self, input: Tensor) -> Tensor:
        """Return the output at every position."""
        everywhere = partial(dense_conv, size=pair(input.shape[2:]), wraps=self.pad == "circular")

        def conv2d(
            x: Tensor, weight: Tensor, bias: Any = None, stride: Any = 1, *args: Any, **kwargs: Any
        ) -> Any:
            run = everywhere if pair(stride) == self.step else F.conv2d
            return run(x, weight, bias, stride, *args, **kwargs)

        with _Overriding({torch.conv2d: conv2d}):
            output: Tensor = super().forward(input)
        return output


def pooled_everywhere(pool: nn.Module, x: Tensor, wraps: bool) -> Tensor:
    """Return the output of a pooling layer's forward pass at every position of ``x``."""
    largest, mean = partial(dense_max, wraps=wraps), partial(dense_avg, wraps=wraps)
    with _Overriding({F.max_pool2d: largest, torch.max_pool2d: largest, F.avg_pool2d: mean}):
        output: Tensor = pool(x)
    return output


def _wrapped(
    x: Tensor, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil: bool = False
) -> Tensor:
    """Return ``x`` with the border that its windows need, wrapped around."""
    amounts: list[int] = []
    for axis in (1, 0):
        size, step = x.shape[x.ndim - 2 + axis], stride[axis]
        reach = dilation[axis] * (kernel[axis] - 1)
        kept = pooled_size(size, kernel[axis], step, padding[axis], dilation[axis], ceil)
        amounts += wrap_amounts(size, padding[axis], reach, step, kept)
    return pad2d(x, (amounts[0], amounts[1], amounts[2], amounts[3]), "circular")


def wrapped_conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: object = 1,
    padding: object = 0,
    dilation: object = 1,
    groups: int = 1,
) -> Tensor:
    """Return ``F.conv2d`` with a border that wraps around."""
    kernel, step, steps = pair(weight.shape[2:]), pair(stride), pair(dilation)
    if padding == "same":
        rows, columns = steps[0] * (kernel[0] - 1), steps[1] * (kernel[1] - 1)
        amounts = columns // 2, columns - columns // 2, rows // 2, rows - rows // 2
        input = pad2d(input, amounts, "circular")
    elif not isinstance(padding, str) and any(pair(padding)):
        input = _wrapped(input, kernel, step, pair(padding), steps)
    return F.conv2d(input, weight, bias, step, 0, steps, groups)


def wrapped_max_pool2d(
    input: Tensor,
    kernel_size: object,
    stride: object = None,
    padding: object = 0,
    dilation: object = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor:
    """Return ``F.max_pool2d`` with a border that wraps around."""
    kernel, step, steps = pair(kernel_size), pair(stride or kernel_size), pair(dilation)
    if return_indices:  # they count the pixels of the padded map
        both: Any = F.max_pool2d(
            input, kernel, step, pair(padding), steps, ceil_mode, return_indices=True
        )
        return both  # type: ignore[no-any-return]
    if kernel == step and not any(pair(padding)):  # cells do not overlap
        return F.max_pool2d(input, kernel, step, 0, steps, ceil_mode)
    x = _wrapped(input, kernel, step, pair(padding), steps, ceil_mode)
    return F.max_pool2d(x, kernel, step, 0, steps)


def wrapped_avg_pool2d(
    input: Tensor,
    kernel_size: object,
    stride: object = None,
    padding: object = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """Return ``F.avg_pool2d`` with a border that wraps around."""
    kernel, step = pair(kernel_size), pair(stride or kernel_size)
    if kernel == step and not any(pair(padding)):
        return F.avg_pool2d(input, kernel, step, 0, ceil_mode, True, divisor_override)
    x = _wrapped(input, kernel, step, pair(padding), (1, 1), ceil_mode)
    return F.avg_pool2d(x, kernel, step, divisor_override=divisor_override)


def _wrapped_unfold(
    input: Tensor, kernel_size: object, dilation: object = 1, padding: object = 0,
    stride: object = 1,
) -> Tensor:  # fmt: skip
    kernel, step, steps = pair(kernel_size), pair(stride), pair(dilation)
    x = _wrapped(input, kernel, step, pair(padding), steps) if any(pair(padding)) else input
    return F.unfold(x, kernel, steps, 0, step)


def _wrapped_pad(
    input: Tensor, pad: Any, mode: str = "constant", value: float | None = None
) -> Tensor:
    amounts = [int(amount) for amount in pad]
    is_border = input.ndim == 4 and min(amounts, default=0) >= 0 and not any(amounts[4:])
    if not is_border or not any(amounts):  # channels, or a cropped part
        return F.pad(input, pad, mode, value)
    left, right, top, bottom = (*amounts[:4], 0, 0)[:4]
    return pad2d(input, (left, right, top, bottom), "circular")


PADDING = ("conv2d", "max_pool2d", "avg_pool2d", "unfold", "pad")
_WRAPPED: dict[Any, Override] = {
    torch.conv2d: wrapped_conv2d,
    F.max_pool2d: wrapped_max_pool2d,
    torch.max_pool2d: wrapped_max_pool2d,
    F.avg_pool2d: wrapped_avg_pool2d,
    F.unfold: _wrapped_unfold,
    F.pad: _wrapped_pad,
}
