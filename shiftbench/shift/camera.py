"""Real-valued camera shifts: the scene is rendered again for every offset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from torch import Tensor

from shiftbench.shift.base import ShiftProtocol
from shiftbench.shift.fraction import fractional_grid
from shiftbench.shift.plan import Plan
from shiftbench.shift.sampling import Sampling, takes_sampling
from shiftbench.shift.values import ends

if TYPE_CHECKING:
    from shiftbench.data.shown import ShownSplit


@takes_sampling
@dataclass(frozen=True)
class Camera(ShiftProtocol):
    """The scenes of ``data=shapes`` rendered again after a real-valued shift.

    No pixel is interpolated and no border is filled: at every offset, the view is the image that a
    shifted camera would have recorded.

    Args:
        max_shift: Largest offset per axis in pixels, inclusive; the offsets are all multiples of
            ``fraction`` from −``max_shift`` to ``max_shift``.
        fraction: Step in pixels: 1, 0.5, 0.25 or another 1/n.
        sampling: Which of the offsets are tested; one step of the path is a whole pixel.
        offsets: First and last offset per axis in pixels, instead of ±``max_shift``; the offsets
            increase from the first one in steps of ``fraction``. If 0 is not among them, the base
            view is not in the set of tested shifts.
    """

    max_shift: float = 2
    fraction: float = 0.5
    sampling: Sampling = field(default=Sampling())
    offsets: Sequence[float] | None = None
    from_scenes = True

    def __post_init__(self) -> None:
        given = ends("shift.camera.offsets", self.offsets, whole=False)
        object.__setattr__(self, "offsets", given)

    def plan(self, n_images: int, image_size: tuple[int, int]) -> Plan:
        """Return the shifts under which every image is tested."""
        grid = fractional_grid(
            "shift.camera", self.fraction, self.max_shift, self.offsets, image_size
        )
        return self.sampling.plan(n_images, grid, "camera")

    def views(self, split: ShownSplit, index: Tensor, shifts: Tensor) -> Tensor:
        """Return scene ``index[n]`` shifted by ``shifts[n]`` px, ``(N, 3, size, size)`` uint8."""
        return split.render(index, shifts)
