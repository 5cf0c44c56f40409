"""Any translation, rescaling and flip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from shiftbench.augment.base import Augmentation, Draws
from shiftbench.augment.draws import any_offsets, mirrored, random_flips
from shiftbench.errors import UsageError, printable
from shiftbench.ops.geometry import to_unit, translate


@dataclass(frozen=True)
class FullAugment(Augmentation):
    """Rescale about the centre, then shift circularly by any offset, then flip with p = 1/2.

    Args:
        scale: Smallest and largest magnification, 0.01 to 100; drawn log-uniformly. The area
            around a smaller image is filled by repeating its edge.
    """

    scale: Sequence[float] = (0.6, 1.4)

    def __post_init__(self) -> None:
        scale = list(self.scale)
        if len(scale) != 2 or not 0.01 <= scale[0] <= scale[1] <= 100:
            raise UsageError(
                f"augment.scale={printable(scale)} is not a range; "
                "give two numbers from 0.01 to 100, smaller first, e.g. [0.6,1.4]"
            )

    def draw(self, count: int, size: tuple[int, int], generator: torch.Generator) -> Draws:
        """Return magnifications, ``(count,)``, offsets, ``(count, 2)``, and mirrored images."""
        low, high = torch.tensor(self.scale).log()
        zoom = (low + torch.rand(count, generator=generator) * (high - low)).exp()
        return zoom, any_offsets(count, size, generator), random_flips(count, generator)

    def apply(self, images: Tensor, *draws: Tensor) -> Tensor:
        """Return the augmented images as float in 0..1."""
        zoom, offsets, flips = draws
        images = _rescaled(to_unit(images), zoom)
        return mirrored(translate(images, offsets), flips)


def _rescaled(images: Tensor, zoom: Tensor) -> Tensor:
    theta = torch.zeros(len(images), 2, 3, device=images.device)
    theta[:, 0, 0] = theta[:, 1, 1] = 1 / zoom.to(images)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)
