"""Circular shifts: what leaves at one side enters at the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from shiftbench.errors import UsageError
from shiftbench.geometry import translate
from shiftbench.shift.plan import Plan, Sampling, square, torus


@dataclass(frozen=True)
class Circular:
    """``torch.roll`` by (dy, dx), every offset of the image (Chaman & Dokmanić, arXiv 2011.14214).

    No pixel is lost, so a difference in the answer is the network's alone. It flatters networks
    with circular padding; see ``translate`` and ``crop`` for shifts that a camera makes.

    Args:
        max_shift: Largest offset per axis in pixels, ends included; None for every offset.
        sampling: See :class:`~shiftbench.shift.plan.Sampling`, as the fields below.
    """

    max_shift: int | None = None
    sampling: str = "auto"
    draws: int = 32
    steps: int = 8
    seed: int = 0
    path: str = "diagonal"
    axes = ("dy", "dx")
    circular = True

    def plan(self, n_images: int, image_size: tuple[int, int]) -> Plan:
        """Return which shifts every image is shown."""
        picker = Sampling(self.sampling, self.draws, self.steps, self.seed, self.path)
        if self.max_shift is None:
            return picker.plan(n_images, torus(image_size), "circular")
        if not 0 < self.max_shift <= (min(image_size) - 1) // 2:
            height, width = image_size
            raise UsageError(
                f"shift.circular.max_shift={self.max_shift} does not fit images of "
                f"{height}×{width}; allowed: 1 to {(min(image_size) - 1) // 2}, or null for all"
            )
        return picker.plan(n_images, square(self.max_shift), "circular")

    def views(self, images: Tensor, shifts: Tensor, mean: Sequence[float] | None = None) -> Tensor:
        """Return image n rolled by ``shifts[n]``; ``(N, C, H, W) -> (N, C, H, W)``."""
        return translate(images, shifts, "circular")
