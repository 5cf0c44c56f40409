"""Inputs and weights that hide nothing: noise, images from all over a split, weights drawn anew."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from shiftbench.data.images import Split


def spread_images(split: Split, count: int) -> Tensor:
    """Return up to ``count`` images from all over ``split``: a folder is sorted by class."""
    index = torch.linspace(0, len(split) - 1, min(count, len(split))).round().long()
    images, _ = next(iter(split.batches(len(index), index)))
    return images


def noise_like(images: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Return ``count`` images of noise, each position different, in the range of ``images``.

    ``(n, C, H, W) -> (count, C, H, W)`` in the type and memory format and on the device of
    ``images``. Floats are normal with the mean and the standard deviation of the images, and of
    standard deviation 1 where those are constant; whole numbers are uniform in 0..255.
    """
    shape = (count, *images.shape[1:])
    if not images.is_floating_point():
        return torch.randint(0, 256, shape, generator=generator).to(images)
    values = images.double()
    centre, width = float(values.mean()), float(values.std())
    if not (math.isfinite(width) and width > 0):
        centre, width = (centre if math.isfinite(centre) else 0.0), 1.0
    noise = torch.randn(shape, generator=generator) * width + centre
    plain = images.is_contiguous()  # as a network needs that flattens with view()
    layout = torch.contiguous_format if plain else torch.channels_last
    return noise.to(images).contiguous(memory_format=layout)


@torch.no_grad()
def revive(model: nn.Module, generator: torch.Generator) -> nn.Module:
    """Draw every weight of ``model`` anew, in place: no unit is dead, no branch is weak.

    What a network does to positions is in its code and not in its weights, but weights can hide it.
    """
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._NormBase) and module.running_mean is not None:
            module.reset_running_stats()
    for name, parameter in model.named_parameters():
        if parameter.is_floating_point():
            parameter.copy_(_weights(name, parameter, generator))
    return model


def _weights(name: str, parameter: Tensor, generator: torch.Generator) -> Tensor:
    """Return weights that keep the size of what passes; scales are positive, biases small."""
    if parameter.ndim >= 2:
        inputs = max(1, parameter.numel() // parameter.shape[0])
        return torch.randn(parameter.shape, generator=generator) * math.sqrt(2 / inputs)
    uniform = torch.rand(parameter.shape, generator=generator)
    return 0.6 * uniform - 0.3 if name.endswith("bias") else 0.5 + uniform
