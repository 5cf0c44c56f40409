"""Borders of somebody else's network that wrap around."""

from __future__ import annotations

import copy

import torch.nn.functional as F
from torch import Tensor, nn

from shiftbench.padding import Conv2d, pad2d


class CircularMaxPool2d(nn.MaxPool2d):
    """``nn.MaxPool2d`` whose border wraps around.

    ``x: (N, C, H, W) -> (N, C, H/s, W/s)`` for the usual kernels.
    """

    def __init__(self, pool: nn.MaxPool2d) -> None:
        super().__init__(pool.kernel_size, pool.stride, 0, pool.dilation, ceil_mode=False)
        self.torus_padding = _pair(pool.padding)

    def forward(self, input: Tensor) -> Tensor:
        """Return the maxima."""
        rows, columns = self.torus_padding
        padded = pad2d(input, (columns, columns, rows, rows), "circular")
        return F.max_pool2d(padded, self.kernel_size, self.stride, dilation=self.dilation)


class CircularAvgPool2d(nn.AvgPool2d):
    """``nn.AvgPool2d`` whose border wraps around."""

    def __init__(self, pool: nn.AvgPool2d) -> None:
        super().__init__(pool.kernel_size, pool.stride)
        self.torus_padding = _pair(pool.padding)

    def forward(self, input: Tensor) -> Tensor:
        """Return the means."""
        rows, columns = self.torus_padding
        padded = pad2d(input, (columns, columns, rows, rows), "circular")
        return F.avg_pool2d(padded, self.kernel_size, self.stride)


class CircularPad2d(nn.Module):
    """A border layer whose border wraps around.

    ``x: (N, C, H, W) -> (N, C, top + H + bottom, left + W + right)``.
    """

    def __init__(self, border: nn.ZeroPad2d | nn.ReflectionPad2d | nn.ReplicationPad2d) -> None:
        super().__init__()
        self.padding = border.padding  # left, right, top, bottom

    def forward(self, input: Tensor) -> Tensor:
        """Return ``input`` with its border."""
        return pad2d(input, self.padding, "circular")


def circular(model: nn.Module) -> tuple[nn.Module, list[str]]:
    """Return a copy of ``model`` in which every border wraps around, and the layers changed.

    Weights are kept, yet it is another network: a result measured on it has to say so.
    """
    changed, names = copy.deepcopy(model), []
    for name, module in list(changed.named_modules()):
        replacement = _circular_layer(module)
        if replacement is None:
            continue
        names.append(name)
        if not name:
            return replacement, names
        if replacement is not module:
            parent, _, leaf = name.rpartition(".")
            setattr(changed.get_submodule(parent), leaf, replacement)
    return changed, names


def _circular_layer(module: nn.Module) -> nn.Module | None:
    """Return what takes the layer's place, None where its border is fine."""
    if type(module) is nn.Conv2d and module.padding_mode != "circular" and _pads(module):
        return _circular_conv(module)
    if isinstance(module, nn.MaxPool2d) and any(_pair(module.padding)):
        return CircularMaxPool2d(module)
    if isinstance(module, nn.AvgPool2d) and any(_pair(module.padding)):
        return CircularAvgPool2d(module)
    if isinstance(module, nn.ZeroPad2d | nn.ReflectionPad2d | nn.ReplicationPad2d):
        return CircularPad2d(module)
    for attribute in ("pad", "padding"):  # our own pools and the stride-1 maximum
        if getattr(module, attribute, None) in ("zeros", "reflect"):
            setattr(module, attribute, "circular")
            return module
    return None


def _circular_conv(conv: nn.Conv2d) -> Conv2d:
    """Return ``conv`` with a border that wraps around, its parameters shared."""
    padding = conv.padding
    if isinstance(padding, str):  # "same" at stride 1
        taps = zip(conv.dilation, conv.kernel_size, strict=True)
        padding = tuple(step * (size - 1) // 2 for step, size in taps)
    replacement = Conv2d(
        conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, padding,  # type: ignore[arg-type]
        conv.dilation, conv.groups, conv.bias is not None, "circular", device="meta",  # type: ignore[arg-type]
    )  # fmt: skip
    replacement.weight, replacement.bias = conv.weight, conv.bias
    return replacement.train(conv.training)


def _pads(conv: nn.Conv2d) -> bool:
    return conv.padding == "same" or (conv.padding != "valid" and any(conv.padding))


def _pair(value: int | tuple[int, ...]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])
