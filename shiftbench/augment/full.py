"""Any translation, rescaling and flip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from shiftbench.augment.draws import any_offsets, random_flip
from shiftbench.errors import UsageError, printable
from shiftbench.ops.geometry import to_unit, translate


@dataclass(frozen=True)
class FullAugment:
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

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return the augmented batch as float in 0..1."""
        images = self._rescale(to_unit(images), generator)
        offsets = any_offsets(len(images), images.shape[-2:], generator)
        return random_flip(translate(images, offsets), generator)

    def _rescale(self, images: Tensor, generator: torch.Generator) -> Tensor:
        low, high = torch.tensor(self.scale).log()
        draws = torch.rand(len(images), generator=generator)
        zoom = (low + draws * (high - low)).exp().to(images)
        theta = torch.zeros(len(images), 2, 3, device=images.device)
        theta[:, 0, 0] = theta[:, 1, 1] = 1 / zoom
        grid = F.affine_grid(theta, list(images.shape), align_corners=False)
        return F.grid_sample(images, grid, padding_mode="border", align_corners=False)
