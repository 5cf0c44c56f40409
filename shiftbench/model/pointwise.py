"""Workaround for strided 1×1 convolutions in training on a CPU: subsample first, then convolve.

The weight gradient of such a layer is wrong in oneDNN, which PyTorch calls: for channels-last maps
with fewer channels than a block of its kernels (8 with AVX2, 16 with AVX-512) it writes beyond its
workspace (oneDNN issue 6035). The result is a gradient from unrelated memory, a training that never
ends, or a crash. Positions that the stride skips have no effect, so removing them beforehand gives
the same layer in a form that oneDNN computes correctly.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn

BLOCK = 16  # channels of the largest block of oneDNN's kernels


@contextmanager
def subsampled_first(model: nn.Module) -> Iterator[None]:
    """Make narrow strided 1×1 convolutions of a network on the CPU subsample before they convolve.

    Outputs and gradients are the same up to rounding. The layers are restored at the end.

    Args:
        model: The network; changed in place.
    """
    with ExitStack() as undo:
        for layer in model.modules():
            if isinstance(layer, nn.Conv2d) and _is_affected(layer):
                undo.enter_context(_subsampling(layer))
        yield


def _is_affected(layer: nn.Conv2d) -> bool:
    return (
        layer.kernel_size == (1, 1) and max(layer.stride) > 1
        and layer.padding in ((0, 0), "valid") and layer.in_channels // layer.groups < BLOCK
        and layer.weight.device.type == "cpu"
    )  # fmt: skip


@contextmanager
def _subsampling(layer: nn.Conv2d) -> Iterator[None]:
    rows, columns = stride = layer.stride

    def kept(_: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
        if given:
            return (_every(given[0], rows, columns), *given[1:]), named
        return given, {**named, "input": _every(named["input"], rows, columns)}

    handle = layer.register_forward_pre_hook(kept, with_kwargs=True)
    layer.stride = (1, 1)
    try:
        yield
    finally:
        layer.stride = stride
        handle.remove()


def _every(maps: Tensor, rows: int, columns: int) -> Tensor:
    return maps[..., ::rows, ::columns]
