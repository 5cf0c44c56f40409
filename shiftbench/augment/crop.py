"""The standard recipe for small images: ±4 px and flip."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from shiftbench.augment.base import Augmentation, Draws
from shiftbench.augment.draws import MAX_SHIFT, mirrored, random_flips, random_offsets
from shiftbench.errors import require_within
from shiftbench.ops.geometry import translate


@dataclass(frozen=True)
class CropAugment(Augmentation):
    """Translate by −``max_shift``..+``max_shift`` px per axis with black fill, flip with p = 1/2.

    Equivalent to padding by ``max_shift`` and taking a random crop (He et al., arXiv 1512.03385,
    sec. 4.2), drawn for every image.
    """

    max_shift: int = 4
    flip: bool = True

    def __post_init__(self) -> None:
        require_within("augment.max_shift", self.max_shift, 0, MAX_SHIFT)

    def draw(self, count: int, size: tuple[int, int], generator: torch.Generator) -> Draws:
        """Return the offsets, ``(count, 2)``, and which images are mirrored, ``(count,)``."""
        offsets = random_offsets(count, (self.max_shift, self.max_shift), generator)
        return (offsets, random_flips(count, generator)) if self.flip else (offsets,)

    def apply(self, images: Tensor, *draws: Tensor) -> Tensor:
        """Return the shifted and mirrored images."""
        offsets, *flips = draws
        images = translate(images, offsets, "black")
        return mirrored(images, *flips) if flips else images
