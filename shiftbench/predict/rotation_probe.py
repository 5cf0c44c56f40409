"""Rotation errors of every layer of a network.

A layer is equivariant to rotations if F(R_θ x) = ρ(θ) R_θ F(x): its map of the rotated image is the
rotated map, with channels that stay as they are (a plain network), that are multiplied by e^{imθ}
(Worrall et al., arXiv 1612.04642) or permuted (Cohen & Welling, arXiv 1602.07576).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.linalg import vector_norm

from shiftbench.errors import UsageError, printable
from shiftbench.model.evaluating import evaluating
from shiftbench.ops.rotation import disc, turn
from shiftbench.predict.arrays import Numbers, as_images
from shiftbench.predict.layer_errors import finite_mean
from shiftbench.predict.layer_probe import MOST_IMAGES, Layer, normalised, run_with, survey

ANGLES = tuple(range(0, 360, 15))

Act = Callable[[Tensor, float], Tensor]


def probe_rotations(
    model: nn.Module,
    images: Tensor | ArrayLike,
    *,
    angles: Sequence[float] = ANGLES,
    mean: Numbers | None = None,
    std: Numbers | None = None,
    max_images: int = MOST_IMAGES,
) -> pd.DataFrame:
    """Rotate the images and measure the change of every layer's output.

    Images and maps are rotated about their centre by bilinear interpolation, by multiples of 90°
    without any, and compared within the inscribed circle; outside of it images are 0, the mean
    colour. Other angles therefore have an error of interpolation even in an equivariant layer.
    A layer may state how a rotation acts on its channels by a method
    ``rotated_channels(maps, degrees)``, which holds for the layers after it, too, until another one
    does; otherwise channels stay as they are.

    Args:
        model: Any ``nn.Module`` that takes square images ``(N, C, H, H)``; it is not modified.
        images: ``(N, C, H, H)``, uint8 in 0..255 or float; see :func:`shiftbench.measure`.
        angles: Degrees counter-clockwise.
        mean: Mean of pixels in 0..1, as for :func:`shiftbench.probe`.
        std: Standard deviation of pixels in 0..1.
        max_images: Only the first ``max_images`` images are used.

    Returns:
        One row per layer and angle, in the order of execution: layer, index, kind, stride, angle
        and, as means over the images,

        * equivariance_error: ‖F(R_θ x) − ρ(θ) R_θ F(x)‖ / ‖F(x)‖ within the circle; empty if the
          output is not a square feature map;
        * invariance_error: ‖m(R_θ x) − ρ(θ) m(x)‖ / ‖m(x)‖ of the spatial mean m, or of the output
          itself if it is not a feature map.

    Raises:
        UsageError: If the images are not square, or ``angles`` is empty.
    """
    given = as_images(images, normalised=mean is not None or std is not None)[:max_images]
    if given.shape[2] != given.shape[3]:
        raise UsageError(f"images of {given.shape[2]}×{given.shape[3]} px cannot be rotated by "
                         "every angle; give square ones")  # fmt: skip
    if not len(angles):
        raise UsageError(f"angles={printable(angles)} has none; e.g. angles=[0, 45, 90]")
    with evaluating(model), torch.inference_mode():
        pixels = normalised(model, given, mean, std)
        pixels = pixels * disc((pixels.shape[2], pixels.shape[3]), pixels.device)
        layers = survey(model, pixels[:1])
        values = _measure(model, pixels, layers, [float(angle) for angle in angles])
    means = finite_mean(values.cpu().double().numpy(), 2)
    rows = [
        (layer.name, index, layer.kind, layer.stride, angle, *means[index, at])
        for index, layer in enumerate(layers)
        for at, angle in enumerate(angles)
    ]
    names = ["layer", "index", "kind", "stride", "angle", "equivariance_error", "invariance_error"]
    return pd.DataFrame(rows, columns=names).astype({"stride": "Int64"})


def _measure(
    model: nn.Module, x: Tensor, layers: Sequence[Layer], angles: Sequence[float]
) -> Tensor:
    """Return both errors ``(L, K, n, 2)`` of the images ``x``."""
    base: dict[str, Tensor] = {}
    acts: dict[str, Act] = {}
    current: list[Act] = [_unchanged]

    def remember(name: str, module: nn.Module, before: Tensor | None, output: Tensor) -> None:
        current[0] = getattr(module, "rotated_channels", current[0])  # optional in any network
        base[name], acts[name] = output.float().clone(), current[0]

    run_with(model, x, remember)
    rows = [_differences(model, x, layers, base, acts, angle) for angle in angles]
    return torch.stack(rows, dim=1)


def _differences(
    model: nn.Module, x: Tensor, layers: Sequence[Layer], base: dict[str, Tensor],
    acts: dict[str, Act], angle: float,
) -> Tensor:  # fmt: skip
    seen: dict[str, Tensor] = {}

    def compare(name: str, module: nn.Module, before: Tensor | None, output: Tensor) -> None:
        if name in base and base[name].shape == output.shape:
            seen[name] = _errors(base[name], output.float(), acts[name], angle)

    run_with(model, _rotated(x, angle), compare)
    blank = torch.full((len(x), 2), torch.nan, device=x.device)
    return torch.stack([seen.get(layer.name, blank) for layer in layers])


def _errors(base: Tensor, seen: Tensor, act: Act, angle: float) -> Tensor:
    """Return ``(N, 2)``: equivariance and invariance error of one layer."""
    empty = base.new_full((len(base),), torch.nan)
    if base.ndim != 4:
        return torch.stack([empty, _relative(seen, base)], 1)
    square = base.shape[2] == base.shape[3]
    mean = act(base.mean((2, 3), keepdim=True), angle)
    invariance = _relative(seen.mean((2, 3), keepdim=True), mean)
    if not square:
        return torch.stack([empty, invariance], 1)
    inside = disc((base.shape[2], base.shape[3]), base.device)
    expected = act(_rotated(base, angle), angle)
    norm = vector_norm((base * inside).flatten(1), dim=1)
    error = vector_norm(((seen - expected) * inside).flatten(1), dim=1) / norm
    return torch.stack([error, invariance], 1)


def _rotated(maps: Tensor, angle: float) -> Tensor:
    turned: Tensor = turn(maps, torch.full((len(maps),), angle, dtype=torch.float64)).to(maps)
    return turned


def _relative(seen: Tensor, base: Tensor) -> Tensor:
    distance = vector_norm((seen - base).flatten(1), dim=1)
    relative: Tensor = distance / vector_norm(base.flatten(1), dim=1)
    return relative


def _unchanged(maps: Tensor, degrees: float) -> Tensor:
    return maps
