"""The total stride of a network: the period, in pixels, of its sampling grids."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from shiftbench.model.evaluating import evaluating
from shiftbench.model.layout import home

Size = tuple[int, int]


def total_stride(model: nn.Module, image_shape: tuple[int, int, int]) -> int:
    """Return the product of the strides on the way to the smallest feature map, in pixels.

    One empty image is run, and every layer with an attribute ``stride`` is watched; branches are
    combined by the least common multiple. A pooling window that covers its whole input does not
    count, as it samples nothing. Neither do steps that are not layers of their own (slices in the
    forward pass, as patch merging in Swin transformers): the result is then too small.

    >>> layers = nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.MaxPool2d(2), nn.AvgPool2d(4)
    >>> total_stride(nn.Sequential(*layers), (3, 16, 16))
    4
    """
    device, dtype = home(model, torch.device("cpu"))
    image = torch.zeros(1, *image_shape, device=device, dtype=dtype)
    strides = _Strides((image_shape[1], image_shape[2]))
    layers = [module for module in model.modules() if hasattr(module, "stride")]
    with evaluating(model), torch.no_grad():
        handles = [layer.register_forward_hook(strides.note) for layer in layers]
        try:
            model(image)
        finally:
            for handle in handles:
                handle.remove()
    return strides.total


class _Strides:
    """The strides up to each size of feature map, recorded while a network runs.

    Args:
        image_size: ``(H, W)`` of the image.
    """

    def __init__(self, image_size: Size) -> None:
        self.image_size = image_size
        self.total = 1
        self._reached = {image_size: 1}

    def note(self, layer: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        """Record a call of a layer, as a forward hook."""
        x = inputs[0] if inputs else None
        if not (
            isinstance(x, Tensor) and isinstance(output, Tensor) and x.ndim == output.ndim == 4
        ):
            return
        before, after = _size(x), _size(output)
        step = math.lcm(*_pair(layer.stride))
        # A pool whose stride a convolution takes over leaves maps as they are.
        if step == 1 or after == before or _is_global(layer, before):
            return
        # Sizes that no strided layer left, e.g. of unpadded convolutions, are near to one.
        known = self._reached.get(before) or max(1, round(self.image_size[0] / before[0]))
        self._reached[after] = known * step
        self.total = math.lcm(self.total, known * step)


def _is_global(layer: nn.Module, size: Size) -> bool:
    if not isinstance(layer, nn.MaxPool2d | nn.AvgPool2d):
        return False
    height, width = _pair(layer.kernel_size)
    return height >= size[0] and width >= size[1]


def _size(x: Tensor) -> Size:
    return int(x.shape[2]), int(x.shape[3])


def _pair(value: Any) -> Size:
    """Return a stride or a kernel size as a pair; of something else, e.g. None, (1, 1)."""
    if isinstance(value, tuple | list) and len(value) == 2:
        return int(value[0]), int(value[1])
    return (value, value) if isinstance(value, int) else (1, 1)
