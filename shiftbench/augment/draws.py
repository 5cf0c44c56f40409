"""Per-image random draws, made on the CPU so that every device gets the same ones."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

# Offsets are drawn in float32, which represents every integer up to 2**24.
MAX_SHIFT = 100_000


def random_flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror each image left to right with probability 1/2."""
    flip = torch.rand(len(images), generator=generator) < 0.5
    return torch.where(flip.to(images.device)[:, None, None, None], images.flip(3), images)


def random_offsets(count: int, limits: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Return ``(count, 2)`` integer offsets, uniform in −limit..+limit (ends included) per axis."""
    draws = torch.rand(count, 2, generator=generator)
    limit = torch.tensor(limits)
    return (draws * (2 * limit + 1)).floor().long().minimum(2 * limit) - limit


def any_offsets(count: int, size: Sequence[int], generator: torch.Generator) -> Tensor:
    """Return ``(count, 2)`` integer offsets, uniform over every circular shift of ``size``."""
    draws = torch.rand(count, 2, generator=generator)
    return (draws * torch.tensor(size)).floor().long()
