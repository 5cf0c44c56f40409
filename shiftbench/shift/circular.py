"""Circular shifts: pixels that leave at one side enter at the opposite side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from torch import Tensor

from shiftbench.errors import UsageError
from shiftbench.ops.geometry import translate
from shiftbench.shift.base import ShiftProtocol
from shiftbench.shift.plan import Grid, Plan, span, square, torus
from shiftbench.shift.sampling import PeerSampling, takes_sampling
from shiftbench.shift.values import ends

if TYPE_CHECKING:
    from shiftbench.data.shown import ShownSplit


@takes_sampling
@dataclass(frozen=True)
class Circular(ShiftProtocol):
    """``torch.roll`` by (dy, dx), every offset of the image (Chaman & Dokmanić, arXiv 2011.14214).

    No pixel is lost, so every difference between answers is caused by the network. The protocol
    favours networks with circular padding; see ``translate`` and ``crop`` for shifts as they occur
    with a camera.

    Args:
        max_shift: Largest offset per axis in pixels, inclusive; None for every offset.
        sampling: Which of the offsets are tested.
        offsets: First and last offset per axis in pixels, inclusive, instead of ±``max_shift``. If
            0 does not lie between them, the base view is not in the set of tested shifts.
    """

    max_shift: int | None = None
    sampling: PeerSampling = field(default=PeerSampling())
    offsets: Sequence[int] | None = None
    circular = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "offsets", ends("shift.circular.offsets", self.offsets))

    def plan(self, n_images: int, image_size: tuple[int, int]) -> Plan:
        """Return the shifts under which every image is tested."""
        return self.sampling.plan(n_images, self._grid(image_size), "circular")

    def _grid(self, image_size: tuple[int, int]) -> Grid:
        height, width = image_size
        if self.offsets is not None:
            first, last = self.offsets
            if last - first >= min(image_size) or max(-first, last) > min(image_size):
                raise UsageError(
                    f"shift.circular.offsets=[{first},{last}] does not fit images of "
                    f"{height}×{width}; allowed: at most {min(image_size)} offsets, none beyond it"
                )
            return span((first, last))
        if self.max_shift is None:
            return torus(image_size)
        if not 0 < self.max_shift <= (min(image_size) - 1) // 2:
            raise UsageError(
                f"shift.circular.max_shift={self.max_shift} does not fit images of "
                f"{height}×{width}; allowed: 1 to {(min(image_size) - 1) // 2}, or null for all"
            )
        return square(self.max_shift)

    def views(self, split: ShownSplit, index: Tensor, shifts: Tensor) -> Tensor:
        """Return image ``index[n]`` rolled by ``shifts[n]``, ``(N, C, H, W)``."""
        return translate(split.pixels(index), shifts, "circular")
