"""The usual recipe for small images: ±4 px and flip."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from shiftbench.augment.draws import MAX_SHIFT, random_flip, random_offsets
from shiftbench.errors import require_within
from shiftbench.ops.geometry import translate


@dataclass(frozen=True)
class CropAugment:
    """Translate by −``max_shift``..+``max_shift`` px per axis with black fill, flip with p = 1/2.

    The same as padding by ``max_shift`` and taking a random crop (He et al., arXiv 1512.03385,
    sec. 4.2), drawn for every image.
    """

    max_shift: int = 4
    flip: bool = True

    def __post_init__(self) -> None:
        require_within("augment.max_shift", self.max_shift, 0, MAX_SHIFT)

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return the augmented batch."""
        limits = (self.max_shift, self.max_shift)
        images = translate(images, random_offsets(len(images), limits, generator), "black")
        return random_flip(images, generator) if self.flip else images
