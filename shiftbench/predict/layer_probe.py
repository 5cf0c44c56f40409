"""Equivariance and invariance errors of every layer of a network.

A layer of cumulative stride s is shift-equivariant if F(T_d x) = T_{d/s} F(x). Convolutions of
stride 1 are equivariant, pooling is invariant only to shifts within a window, and subsampling
breaks both properties (Azulay & Weiss, arXiv 1805.12177, sec. 3; Zhang, arXiv 1904.11486,
sec. 3.1). Shifts are circular, so all differences are due to the network, not to new pixels.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from shiftbench.errors import ShiftbenchError, UsageError
from shiftbench.model.evaluating import evaluating
from shiftbench.model.layout import home, memory_format
from shiftbench.pool.base import Downsampling
from shiftbench.predict.arrays import Numbers, as_images, per_channel
from shiftbench.predict.layer_errors import Reference, differences, finite_mean, high_share
from shiftbench.predict.pixel_model import PixelModel

MOST_IMAGES = 16
SIDE_OF_SHIFTS = 8  # 64 shifts: every phase of strides up to 8
MEASURES = ("equivariance_error", "cosine_distance", "invariance_error")

Shift = tuple[int, int]
See = Callable[[str, nn.Module, Tensor | None, Tensor], None]


@dataclass(frozen=True)
class Layer:
    """One call of a layer in a forward pass."""

    name: str  # dotted module name; the second call of a module is name#2
    kind: str  # name of its class
    stride: int | None  # cumulative stride; None if the output is not a feature map
    ratio: int  # factor by which it reduces the feature map
    size: int  # bytes of its output for one image in float32


def probe(
    model: nn.Module,
    images: Tensor | ArrayLike,
    *,
    shifts: Sequence[Shift] | None = None,
    mean: Numbers | None = None,
    std: Numbers | None = None,
    max_images: int = MOST_IMAGES,
    memory_gb: float = 1.0,
) -> pd.DataFrame:
    """Shift the images circularly and measure the change of every layer's output.

    A layer is a module without children that returns a tensor; functional operations in a
    ``forward`` method (an addition, ``F.relu``) are attributed to the layer after them. Strides
    are inferred from the sizes of the feature maps and assumed to be the same on both axes.

    Args:
        model: Any ``nn.Module`` that takes ``(N, C, H, W)``; it is not modified.
        images: ``(N, C, H, W)``, uint8 in 0..255 or float; see :func:`shiftbench.measure`.
        shifts: Integers (dy, dx) in pixels; by default 0..7 on both axes (0..side − 1 if the image
            is smaller).
        mean: Mean of pixels in 0..1, per channel or one for all, that is subtracted from the
            images; None is 0.
        std: Standard deviation of pixels in 0..1, by which they are divided; None is 1.
        max_images: Only the first ``max_images`` images are used.
        memory_gb: Memory limit of the stored outputs of the unshifted images.

    Returns:
        One row per layer and shift, in the order of execution: layer, index, kind, stride, dy, dx
        and, as means over the images,

        * equivariance_error: ‖F(T_d x) − T_{d/s} F(x)‖ / ‖F(x)‖; if s does not divide d, d/s is
          rounded up or down on each axis, whichever gives the smallest error for the image;
        * cosine_distance: 1 − cosine over the channels of these two feature maps, mean over the
          positions (Zhang, arXiv 1904.11486, fig. 5);
        * invariance_error: ‖m(T_d x) − m(x)‖ / ‖m(x)‖ of the spatial mean m, 0 if the feature map
          is shiftable (Simoncelli et al. 1992). If the output is not a feature map, m is the output
          itself, and this is the only error given;
        * aliasing: share of the spectral energy of the unshifted feature map at or above the
          Nyquist frequency of the next layer's grid; empty if the next layer does not subsample. A
          next layer that filters first (blur-pool, a strided convolution) removes some of it.

        Images with an all-zero feature map are left out of the means.

    Raises:
        UsageError: If the images or the shifts are invalid.
    """
    given = as_images(images, normalised=mean is not None or std is not None)[:max_images]
    offsets = _offsets(shifts, (given.shape[2], given.shape[3]))
    with evaluating(model), torch.inference_mode():
        pixels = normalised(model, given, mean, std)
        layers = survey(model, pixels[:1])
        needed = sum(layer.size for layer in layers)
        at_once = max(1, int(memory_gb * 2**30 / max(1, needed)))
        parts = [_measure(model, part, layers, offsets) for part in pixels.split(at_once)]
    values = np.concatenate([part[0] for part in parts], axis=2)
    aliasing = np.concatenate([part[1] for part in parts], axis=1)
    return _frame(layers, offsets, finite_mean(values, 2), finite_mean(aliasing, 1))


def normalised(
    model: nn.Module, images: Tensor, mean: Numbers | None, std: Numbers | None
) -> Tensor:
    """Return the images, normalised, in the network's type, on its device."""
    channels = images.shape[1]
    average = per_channel("mean", mean, channels) or (0.0,) * channels
    deviation = per_channel("std", std, channels) or (1.0,) * channels
    device, dtype = home(model, images.device)
    network = PixelModel(model, average, deviation, device, dtype=dtype)
    network.memory_format = memory_format(model, network.normalise(images[:1].to(device)))
    return network.normalise(images.to(device))


def _offsets(shifts: Sequence[Shift] | None, size: tuple[int, int]) -> list[Shift]:
    """Return the shifts to apply."""
    if shifts is None:
        side = min(SIDE_OF_SHIFTS, *size)
        return [(dy, dx) for dy in range(side) for dx in range(side)]
    if not shifts or any(len(s) != 2 or any(int(d) != d for d in s) for s in shifts):
        raise UsageError(
            f"shifts={shifts} is not a list of whole (dy, dx); e.g. shifts=[(0, 1), (1, 1)]"
        )
    return [(int(dy), int(dx)) for dy, dx in shifts]


def run_with(model: nn.Module, x: Tensor, see: See) -> None:
    """Run ``x`` with hooks that call ``see(name, module, input, output)`` after every layer."""
    calls: Counter[str] = Counter()

    def watch(name: str, module: nn.Module) -> torch.utils.hooks.RemovableHandle:
        def after(_: nn.Module, inputs: tuple[object, ...], output: object) -> None:
            calls[name] += 1
            if isinstance(output, Tensor) and output.ndim >= 2 and len(output) == len(x):
                before = inputs[0] if inputs and isinstance(inputs[0], Tensor) else None
                see(name if calls[name] == 1 else f"{name}#{calls[name]}", module, before, output)

        return module.register_forward_hook(after)

    handles = []
    try:
        hidden = _hidden(model)
        for name, module in model.named_modules():
            if _is_layer(module) and id(module) not in hidden:
                handles.append(watch(name or type(module).__name__, module))
        model(x)
    finally:
        for handle in handles:
            handle.remove()


def _is_layer(module: nn.Module) -> bool:
    childless = next(module.children(), None) is None
    selects = isinstance(module, Downsampling) and module.picks_grid
    return (childless or selects or _hides_layers(module)) and not isinstance(module, nn.Identity)


def _hides_layers(module: nn.Module) -> bool:
    """Whether a module with children is one layer: a pool with parameters, or one that says so."""
    if isinstance(module, Downsampling):
        return module.has_parameters
    return getattr(module, "is_one_layer", False) is True  # optional in any network


def _hidden(model: nn.Module) -> set[int]:
    """Return the ids of the modules inside of those that are one layer."""
    whole = [module for module in model.modules() if _hides_layers(module)]
    return {id(part) for module in whole for part in module.modules() if part is not module}


def survey(model: nn.Module, image: Tensor) -> list[Layer]:
    """Return the layers in the order in which they run."""
    layers: list[Layer] = []
    strides = {image.shape[2]: 1}  # by feature-map height, so that parallel branches agree

    def see(name: str, module: nn.Module, before: Tensor | None, output: Tensor) -> None:
        stride, ratio = None, 1
        if output.ndim == 4:
            height = image.shape[2] if before is None or before.ndim != 4 else before.shape[2]
            ratio = max(1, round(height / output.shape[2]))
            growth = max(1, round(output.shape[2] / height))
            known = strides.get(height, max(1, round(image.shape[2] / height)))
            stride = strides[output.shape[2]] = max(1, known * ratio // growth)
        layers.append(Layer(name, type(module).__name__, stride, ratio, 4 * output.numel()))

    run_with(model, image, see)
    if not layers:
        raise ShiftbenchError("the network has no layer that returns a tensor; nothing to probe")
    return layers


def _measure(
    model: nn.Module, x: Tensor, layers: list[Layer], offsets: list[Shift]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the measures ``(L, K, n, 3)`` and the aliasing ``(L, n)`` of the images ``x``."""
    base: dict[str, Tensor] = {}
    # Copies, as a later layer may work in place.
    run_with(
        model, x, lambda name, module, before, output: base.update({name: output.float().clone()})
    )
    strides = {layer.name: layer.stride for layer in layers}
    references = {name: Reference(output, strides.get(name)) for name, output in base.items()}
    rows = [_differences(model, x, layers, references, shift) for shift in offsets]
    return torch.stack(rows, dim=1).cpu().double().numpy(), _aliasing(base, layers, len(x))


def _differences(
    model: nn.Module, x: Tensor, layers: list[Layer], base: dict[str, Reference], shift: Shift
) -> Tensor:
    """Return the measures ``(L, n, 3)`` under one shift, computed during the forward pass."""
    seen: dict[str, Tensor] = {}

    def see(name: str, module: nn.Module, before: Tensor | None, output: Tensor) -> None:
        if name in base and base[name].shape == output.shape:
            seen[name] = differences(base[name], output.float(), shift)

    run_with(model, x.roll(shift, (2, 3)), see)
    blank = torch.full((len(x), len(MEASURES)), torch.nan, device=x.device)
    return torch.stack([seen.get(layer.name, blank) for layer in layers])


def _aliasing(base: dict[str, Tensor], layers: list[Layer], count: int) -> NDArray[np.float64]:
    """Return ``(L, n)``: the energy that aliases in the next layer, NaN without subsampling."""
    shares = np.full((len(layers), count), np.nan)
    for row, (layer, following) in enumerate(itertools.pairwise(layers)):
        maps = base[layer.name]
        if maps.ndim == 4 and following.stride is not None and following.ratio > 1:
            shares[row] = high_share(maps, following.ratio).cpu().double().numpy()
    return shares


def _frame(
    layers: list[Layer],
    offsets: list[Shift],
    values: NDArray[np.float64],
    aliasing: NDArray[np.float64],
) -> pd.DataFrame:
    rows = [
        (layer.name, index, layer.kind, layer.stride, dy, dx, *values[index, at], aliasing[index])
        for index, layer in enumerate(layers)
        for at, (dy, dx) in enumerate(offsets)
    ]
    names = ["layer", "index", "kind", "stride", "dy", "dx", *MEASURES, "aliasing"]
    return pd.DataFrame(rows, columns=names).astype({"stride": "Int64"})
