"""Any translation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from shiftbench.augment.draws import MAX_SHIFT, any_offsets, random_offsets
from shiftbench.errors import require_one_of, require_within
from shiftbench.ops.geometry import FILLS, translate


@dataclass(frozen=True)
class ShiftAugment:
    """Translate every image by its own random offset, every offset being equally likely.

    Args:
        max_shift: Largest offset in pixels per axis; None for the whole image.
        fill: ``circular`` wraps around, so that no pixel is lost; ``black``, ``reflect``, ``edge``.
    """

    max_shift: int | None = None
    fill: str = "circular"

    def __post_init__(self) -> None:
        require_one_of("augment.fill", self.fill, [fill for fill in FILLS if fill != "mean"])
        if self.max_shift is not None:
            require_within("augment.max_shift", self.max_shift, 0, MAX_SHIFT)

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return the augmented batch."""
        height, width = images.shape[-2:]
        if self.max_shift is not None:
            limits = (self.max_shift, self.max_shift)
            offsets = random_offsets(len(images), limits, generator)
        elif self.fill == "circular":
            offsets = any_offsets(len(images), (height, width), generator)
        else:
            # Half the side at most: beyond that an object is more often gone than not.
            offsets = random_offsets(len(images), (height // 2, width // 2), generator)
        return translate(images, offsets, self.fill)
