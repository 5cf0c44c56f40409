"""Integer translations: the image leaves the frame and something else enters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from shiftbench.errors import UsageError, require_one_of
from shiftbench.ops.geometry import as_float, translate
from shiftbench.shift.plan import Grid, Plan, Sampling, span, square
from shiftbench.shift.values import ends

FILLS = ("black", "mean", "reflect", "edge")


@dataclass(frozen=True)
class Translate:
    """Move the image by whole pixels, −``max_shift``..+``max_shift`` per axis, ends included.

    Args:
        max_shift: Largest offset per axis in pixels.
        fill: What enters: ``black`` (0 before normalisation), ``mean`` (of the training pixels),
            ``reflect`` or ``edge``.
        sampling: See :class:`~shiftbench.shift.plan.Sampling`, as the fields below.
        offsets: First and last offset per axis in pixels, ends included, instead of
            ±``max_shift``; where 0 is not between them, the base view is not one of the set.
        peer: Whose draws ``sampling=peer`` replays.
        batch: Images that share such a draw; None is the published number.
    """

    max_shift: int = 4
    fill: str = "black"
    sampling: str = "auto"
    draws: int = 32
    steps: int = 8
    seed: int = 0
    path: str = "diagonal"
    offsets: Sequence[int] | None = None
    peer: str | None = None
    batch: int | None = None
    axes = ("dy", "dx")

    def __post_init__(self) -> None:
        require_one_of("shift.translate.fill", self.fill, FILLS)
        object.__setattr__(self, "offsets", ends("shift.translate.offsets", self.offsets))

    def plan(self, n_images: int, image_size: tuple[int, int]) -> Plan:
        """Return which shifts every image is shown."""
        picker = Sampling(
            self.sampling, self.draws, self.steps, self.seed, self.path, self.peer, self.batch
        )
        return picker.plan(n_images, self._grid(image_size), "translate")

    def _grid(self, image_size: tuple[int, int]) -> Grid:
        height, width = image_size
        if self.offsets is not None:
            first, last = self.offsets
            if max(-first, last) >= min(image_size):
                raise UsageError(
                    f"shift.translate.offsets=[{first},{last}] does not fit images of "
                    f"{height}×{width}; allowed: −{min(image_size) - 1} to {min(image_size) - 1}"
                )
            return span((first, last))
        if not 0 < self.max_shift < min(image_size):
            raise UsageError(
                f"shift.translate.max_shift={self.max_shift} does not fit images of "
                f"{height}×{width}; allowed: 1 to {min(image_size) - 1}"
            )
        return square(self.max_shift)

    def views(self, images: Tensor, shifts: Tensor, mean: Sequence[float] | None = None) -> Tensor:
        """Return image n moved by ``shifts[n]``; ``(N, C, H, W) -> (N, C, H, W)``.

        In the type of ``images``; with ``mean``, which is no whole pixel value, float in 0..1.
        """
        images = as_float(images) if self.fill == "mean" else images
        return translate(images, shifts, self.fill, mean)
