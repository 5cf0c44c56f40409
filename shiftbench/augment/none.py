"""No augmentation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from shiftbench.augment.base import Augmentation, Draws


@dataclass(frozen=True)
class NoAugment(Augmentation):
    """Return the images unchanged."""

    def draw(self, count: int, size: tuple[int, int], generator: torch.Generator) -> Draws:
        """Return no draws."""
        return ()

    def apply(self, images: Tensor, *draws: Tensor) -> Tensor:
        """Return ``images``."""
        return images
