"""Inputs and weights for numerical checks: noise, images of a split, random weights."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from shiftbench.data.images import Split


def spread_images(split: Split, count: int) -> Tensor:
    """Return up to ``count`` evenly spaced images of ``split``, which may be sorted by class."""
    index = torch.linspace(0, len(split) - 1, min(count, len(split))).round().long()
    images, _ = next(iter(split.batches(len(index), index)))
    return images


def noise_like(images: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Return ``count`` images of normally distributed noise, independent at every position.

    Mean and standard deviation are those of ``images``; the latter is 1 if they are constant.

    Args:
        images: ``(N, C, H, W)`` float, normalised.
        count: Number of noise images.
        generator: A generator on the CPU.

    Returns:
        ``(count, C, H, W)`` with the type, memory format and device of ``images``.
    """
    values = images.double()
    centre, width = float(values.mean()), float(values.std())
    if not (math.isfinite(width) and width > 0):
        centre, width = (centre if math.isfinite(centre) else 0.0), 1.0
    noise = torch.randn((count, *images.shape[1:]), generator=generator) * width + centre
    plain = images.is_contiguous()  # required by networks that flatten with view()
    layout = torch.contiguous_format if plain else torch.channels_last
    return noise.to(images).contiguous(memory_format=layout)


def pixel_noise(images: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Return ``count`` images of uniform noise between black and the brightest pixel of ``images``.

    ``(N, C, H, W) -> (count, C, H, W)`` of the same type. If all images are black, the noise
    extends to white: 255 for integers, 1 for floats.
    """
    finite = torch.where(images.isfinite(), images, 0)
    low, high = min(0.0, float(finite.min())), float(finite.max())
    if high <= low:
        high = low + (1.0 if images.is_floating_point() else 255.0)
    unit = torch.rand((count, *images.shape[1:]), generator=generator)
    return (low + unit * (high - low)).to(images)


@torch.no_grad()
def revive(model: nn.Module, generator: torch.Generator) -> nn.Module:
    """Redraw every weight of ``model`` in place, to avoid dead units and negligible branches.

    How a network treats positions is determined by its code, but its weights can hide it: a branch
    with zero weights does not contribute to the logits.
    """
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._NormBase) and module.running_mean is not None:
            module.reset_running_stats()
    for name, parameter in model.named_parameters():
        if parameter.is_floating_point():
            parameter.copy_(_weights(name, parameter, generator))
    return model


def _weights(name: str, parameter: Tensor, generator: torch.Generator) -> Tensor:
    """Return weights that preserve the size of activations; scales are positive, biases small."""
    if parameter.ndim >= 2:
        inputs = max(1, parameter.numel() // parameter.shape[0])
        return torch.randn(parameter.shape, generator=generator) * math.sqrt(2 / inputs)
    uniform = torch.rand(parameter.shape, generator=generator)
    return 0.6 * uniform - 0.3 if name.endswith("bias") else 0.5 + uniform
