"""Any translation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from shiftbench.augment.base import Augmentation, Draws
from shiftbench.augment.draws import MAX_SHIFT, any_offsets, random_offsets
from shiftbench.errors import require_one_of, require_within
from shiftbench.ops.geometry import FILLS, translate


@dataclass(frozen=True)
class ShiftAugment(Augmentation):
    """Translate every image by its own random offset; all offsets are equally likely.

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

    def draw(self, count: int, size: tuple[int, int], generator: torch.Generator) -> Draws:
        """Return the offsets, ``(count, 2)``."""
        if self.max_shift is not None:
            return (random_offsets(count, (self.max_shift, self.max_shift), generator),)
        if self.fill == "circular":
            return (any_offsets(count, size, generator),)
        # At most half the side: beyond that, most objects leave the frame.
        return (random_offsets(count, (size[0] // 2, size[1] // 2), generator),)

    def apply(self, images: Tensor, *draws: Tensor) -> Tensor:
        """Return the shifted images."""
        [offsets] = draws
        return translate(images, offsets, self.fill)
