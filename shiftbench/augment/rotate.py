"""Any rotation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from shiftbench.augment.base import Augmentation, Draws
from shiftbench.errors import require_one_of, require_within
from shiftbench.ops.geometry import to_unit
from shiftbench.ops.rotation import GRID_PADDINGS

FILLS = ("black", "reflect", "edge")


@dataclass(frozen=True)
class RotateAugment(Augmentation):
    """Rotate every image about its centre by its own random angle, in one bilinear interpolation.

    Args:
        max_angle: Largest rotation in degrees to either side, 0 to 180; angles are uniform.
        fill: What fills uncovered pixels: ``black``, ``reflect`` or ``edge``, as ``shift=rotate``.
    """

    max_angle: float = 180
    fill: str = "black"

    def __post_init__(self) -> None:
        require_within("augment.max_angle", self.max_angle, 0, 180)
        require_one_of("augment.fill", self.fill, FILLS)

    def draw(self, count: int, size: tuple[int, int], generator: torch.Generator) -> Draws:
        """Return the angles in degrees counter-clockwise, ``(count,)``."""
        return ((2 * torch.rand(count, generator=generator) - 1) * self.max_angle,)

    def apply(self, images: Tensor, *draws: Tensor) -> Tensor:
        """Return the rotated images as float in 0..1."""
        [angles] = draws
        images = to_unit(images)
        height, width = images.shape[-2:]
        theta = _inverse(angles.to(images), max(width - 1, 1) / max(height - 1, 1))
        grid = F.affine_grid(theta, list(images.shape), align_corners=True)
        borders = GRID_PADDINGS[self.fill]
        return F.grid_sample(images, grid, padding_mode=borders, align_corners=True)


def _inverse(angles: Tensor, aspect: float) -> Tensor:
    """Return ``(N, 2, 3)``: where in the image, −1..1 per axis, each place of the view comes from.

    Rows point downwards, so that counter-clockwise is from x towards −y.
    """
    cosine, sine = angles.deg2rad().cos(), angles.deg2rad().sin()
    zero = torch.zeros_like(cosine)
    across = torch.stack([cosine, -sine / aspect, zero], 1)
    down = torch.stack([sine * aspect, cosine, zero], 1)
    return torch.stack([across, down], 1)
