"""Integer translations: the image leaves the frame and something else enters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from shiftbench.errors import UsageError, require_one_of
from shiftbench.geometry import translate
from shiftbench.shift.plan import Plan, Sampling, square

FILLS = ("black", "mean", "reflect", "edge")


@dataclass(frozen=True)
class Translate:
    """Move the image by whole pixels, −``max_shift``..+``max_shift`` per axis, ends included.

    Args:
        max_shift: Largest offset per axis in pixels.
        fill: What enters: ``black`` (0 before normalisation), ``mean`` (of the training pixels),
            ``reflect`` or ``edge``.
        sampling: See :class:`~shiftbench.shift.plan.Sampling`, as the fields below.
    """

    max_shift: int = 4
    fill: str = "black"
    sampling: str = "auto"
    draws: int = 32
    steps: int = 8
    seed: int = 0
    path: str = "diagonal"
    axes = ("dy", "dx")

    def __post_init__(self) -> None:
        require_one_of("shift.translate.fill", self.fill, FILLS)

    def plan(self, n_images: int, image_size: tuple[int, int]) -> Plan:
        """Return which shifts every image is shown."""
        if not 0 < self.max_shift < min(image_size):
            height, width = image_size
            raise UsageError(
                f"shift.translate.max_shift={self.max_shift} does not fit images of "
                f"{height}×{width}; allowed: 1 to {min(image_size) - 1}"
            )
        picker = Sampling(self.sampling, self.draws, self.steps, self.seed, self.path)
        return picker.plan(n_images, square(self.max_shift), "translate")

    def views(self, images: Tensor, shifts: Tensor, mean: Sequence[float] | None = None) -> Tensor:
        """Return image n moved by ``shifts[n]``; ``(N, C, H, W) -> (N, C, H, W)``."""
        return translate(images, shifts, self.fill, mean)
