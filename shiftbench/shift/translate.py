"""Integer translations: content leaves the frame, and uncovered pixels are filled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from torch import Tensor

from shiftbench.errors import UsageError, require_one_of
from shiftbench.ops.geometry import as_float, translate
from shiftbench.shift.base import ShiftProtocol
from shiftbench.shift.plan import Grid, Plan, span, square
from shiftbench.shift.sampling import PeerSampling, takes_sampling
from shiftbench.shift.values import ends

FILLS = ("black", "mean", "reflect", "edge")

if TYPE_CHECKING:
    from shiftbench.data.shown import ShownSplit


@takes_sampling
@dataclass(frozen=True)
class Translate(ShiftProtocol):
    """Move the image by whole pixels, −``max_shift``..+``max_shift`` per axis, inclusive.

    Args:
        max_shift: Largest offset per axis in pixels.
        fill: What fills uncovered pixels: ``black`` (0 before normalisation), ``mean`` (of the
            training pixels), ``reflect`` or ``edge``.
        sampling: Which of the offsets are tested.
        offsets: First and last offset per axis in pixels, inclusive, instead of ±``max_shift``. If
            0 does not lie between them, the base view is not in the set of tested shifts.
    """

    max_shift: int = 4
    fill: str = "black"
    sampling: PeerSampling = field(default=PeerSampling())
    offsets: Sequence[int] | None = None

    def __post_init__(self) -> None:
        require_one_of("shift.translate.fill", self.fill, FILLS)
        object.__setattr__(self, "offsets", ends("shift.translate.offsets", self.offsets))

    def plan(self, n_images: int, image_size: tuple[int, int]) -> Plan:
        """Return the shifts under which every image is tested."""
        return self.sampling.plan(n_images, self._grid(image_size), "translate")

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

    def views(self, split: ShownSplit, index: Tensor, shifts: Tensor) -> Tensor:
        """Return image ``index[n]`` shifted by ``shifts[n]``, ``(N, C, H, W)``.

        In the dtype of the images; with ``mean``, which is not an integer, float in 0..1.
        """
        images = split.pixels(index)
        images = as_float(images) if self.fill == "mean" else images
        return translate(images, shifts, self.fill, split.mean)
