"""Dense forms of layers on a torus, chosen from the settings of each layer.

A layer of stride s has a dense form if it maps H rows to exactly H/s, each from a window on the
torus. A numerical comparison is not sufficient: without padding, the average over a smaller feature
map is nearly the same.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from shiftbench.head.base import Head
from shiftbench.ops import padding
from shiftbench.ops.computed_conv import ComputedConv2d
from shiftbench.pool.base import Downsampling, as_pool
from shiftbench.predict.phases import (
    AllPhases,
    AllPhasesByContent,
    AllShifts,
    NotDenseError,
    Trace,
    Windowed,
    WindowedConv,
)

Pair = tuple[int, int]


def densify(model: nn.Module, trace: Trace) -> nn.Module:
    """Replace every layer of ``model`` that needs it by its dense form, in place.

    A layer that is registered in several places has a single dense form.

    Raises:
        NotDenseError: If a layer does not lie on a torus.
    """
    return _densified(model, trace, {})


def _densified(module: nn.Module, trace: Trace, known: dict[int, nn.Module]) -> nn.Module:
    if id(module) in known:
        return known[id(module)]
    known[id(module)] = module
    dense = _dense_layer(module, trace)
    if dense is not None:
        known[id(module)] = dense
        return dense
    for name, child in list(module._modules.items()):
        if child is not None:
            setattr(module, name, _densified(child, trace, known))
    return module


def _dense_layer(module: nn.Module, trace: Trace) -> nn.Module | None:
    """Return the dense form of a layer, None if it does not need one."""
    pool = as_pool(module)
    if pool is not None and (pool.picks_grid or pool.keeps_all_grids):
        return _dense_pool(pool, trace)
    if isinstance(module, nn.Conv2d):
        return _dense_conv(module, trace)
    if isinstance(module, ComputedConv2d):
        return _of_computed_filters(module)
    if isinstance(module, nn.MaxPool2d | nn.AvgPool2d):
        return _dense_window_pool(module, trace)
    if isinstance(module, nn.Flatten) or (isinstance(module, Head) and not module.is_global):
        return AllShifts(module, trace)
    if isinstance(module, nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool2d):
        return None if module.output_size in (1, (1, 1)) else AllShifts(module, trace)
    return None


def _dense_pool(pool: Downsampling, trace: Trace) -> nn.Module | None:
    stride = _pair(pool.stride)
    if pool.pad != "circular":
        raise NotDenseError(f"a {type(pool).__name__} pads with {pool.pad}")
    if stride == (1, 1):
        return None
    kind = AllPhasesByContent if pool.picks_grid else AllPhases
    return kind(pool, stride, trace)


def _dense_conv(conv: nn.Conv2d, trace: Trace) -> nn.Module | None:
    stride = _pair(conv.stride)
    if not _runs_as(conv, nn.Conv2d, padding.Conv2d):
        return _of_its_own(conv, stride)
    if isinstance(conv.padding, str):
        raise NotDenseError(f"a convolution has padding='{conv.padding}'")
    if any(conv.padding) and conv.padding_mode != "circular":
        raise NotDenseError(f"a convolution pads with {conv.padding_mode}")
    before = _pair(conv.padding)
    reach = tuple(d * (k - 1) for d, k in zip(conv.dilation, conv.kernel_size, strict=True))
    after = (reach[0] - before[0], reach[1] - before[1])
    _check_size("a convolution", before, after, stride)
    plain = copy.copy(conv)
    plain.stride, plain.padding, plain.padding_mode = (1, 1), (0, 0), "zeros"
    return WindowedConv(plain, before, after, stride, trace)


def _of_computed_filters(conv: ComputedConv2d) -> nn.Module | None:
    if conv.padding_mode != "circular":
        raise NotDenseError(f"a convolution pads with {conv.padding_mode}")
    return _of_its_own(conv, (conv.stride, conv.stride))


def _dense_window_pool(pool: nn.MaxPool2d | nn.AvgPool2d, trace: Trace) -> nn.Module | None:
    kind = type(pool).__name__
    kernel, stride, border = (_pair(v) for v in (pool.kernel_size, pool.stride, pool.padding))
    wraps = isinstance(pool, padding.TorusPool)
    if not wraps and not _runs_as(pool, nn.MaxPool2d, nn.AvgPool2d):
        return _of_its_own(pool, stride)
    if any(border):
        raise NotDenseError(f"a {kind} pads with a border of its own")
    if isinstance(pool, nn.MaxPool2d) and _pair(pool.dilation) != (1, 1):
        raise NotDenseError(f"a {kind} is dilated")
    if isinstance(pool, nn.MaxPool2d) and pool.return_indices:
        raise NotDenseError(f"a {kind} returns positions")
    before = pool.torus_padding if isinstance(pool, padding.TorusPool) else (0, 0)
    after = (kernel[0] - 1 - before[0], kernel[1] - 1 - before[1])
    # With these sizes, the windows that ceil_mode adds start beyond the feature map, where torch
    # omits them, so ceil_mode has no effect.
    _check_size(f"a {kind}", before, after, stride)
    return Windowed(_window(pool, kernel), before, after, stride, trace)


def _window(pool: nn.MaxPool2d | nn.AvgPool2d, kernel: Pair) -> Callable[[Tensor], Tensor]:
    """Return the pooling window at stride 1, for every valid position."""
    if isinstance(pool, nn.MaxPool2d):
        return partial(F.max_pool2d, kernel_size=kernel, stride=1)
    divisor = pool.divisor_override
    return partial(F.avg_pool2d, kernel_size=kernel, stride=1, divisor_override=divisor)


def _check_size(layer: str, before: Pair, after: Pair, stride: Pair) -> None:
    """Refuse a window that does not reduce ``H`` rows to ``H / stride`` rows.

    With b pixels of padding on both sides and a window that reaches b back and a ahead, rows are
    ⌊(H + b − a − 1) / s⌋ + 1: that is H/s for every multiple H of s if and only if 0 ≤ a − b < s.
    """
    for back, ahead, step in zip(before, after, stride, strict=True):
        if not 0 <= ahead - back < step:
            raise NotDenseError(f"{layer} changes the size of its map by its border")


def _of_its_own(layer: nn.Module, stride: Pair) -> nn.Module | None:
    """Keep a layer with its own forward pass unchanged, if it does not subsample."""
    if stride == (1, 1):
        return None
    raise NotDenseError(f"a {type(layer).__name__} subsamples in a way of its own")


def _runs_as(layer: nn.Module, *kinds: type[nn.Module]) -> bool:
    """Whether ``layer`` runs the forward pass of one of these classes, possibly inherited."""
    if "forward" in vars(layer) or "_conv_forward" in vars(layer):
        return False
    return _code(type(layer)) in [_code(kind) for kind in kinds]


def _code(kind: type[nn.Module]) -> tuple[object, object]:
    """Return the functions that compute the forward pass of this class."""
    return kind.forward, kind._conv_forward if issubclass(kind, nn.Conv2d) else None


def _pair(value: object) -> Pair:
    if isinstance(value, tuple | list):
        return int(value[0]), int(value[1])
    return int(value), int(value)  # type: ignore[call-overload]
