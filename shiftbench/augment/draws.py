"""Per-image random draws, made on the CPU so that every device gets the same ones."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

# Offsets are drawn in float32, which represents every integer up to 2**24.
MAX_SHIFT = 100_000


def random_flips(count: int, generator: torch.Generator) -> Tensor:
    """Return ``(count,)`` bool, each true with probability 1/2."""
    return torch.rand(count, generator=generator) < 0.5


def mirrored(images: Tensor, flips: Tensor) -> Tensor:
    """Mirror the images ``(N, C, H, W)`` left to right where ``flips: (N,)`` is true."""
    return torch.where(flips.to(images.device)[:, None, None, None], images.flip(3), images)


def random_offsets(count: int, limits: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Return ``(count, 2)`` integer offsets, uniform in −limit..+limit (ends included) per axis."""
    draws = torch.rand(count, 2, generator=generator)
    limit = torch.tensor(limits)
    return (draws * (2 * limit + 1)).floor().long().minimum(2 * limit) - limit


def any_offsets(count: int, size: Sequence[int], generator: torch.Generator) -> Tensor:
    """Return ``(count, 2)`` integer offsets, uniform over every circular shift of ``size``."""
    draws = torch.rand(count, 2, generator=generator)
    return (draws * torch.tensor(size)).floor().long()
