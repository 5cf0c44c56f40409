"""No augmentation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class NoAugment:
    """Return the images unchanged."""

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return ``images``."""
        return images
