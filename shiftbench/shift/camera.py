"""A camera that moves by any part of a pixel: the scene is drawn again."""

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
    """The scenes of ``data=shapes`` rendered again after a real-valued move.

    Nothing is interpolated and no border is made up: at any offset the picture is what the camera
    would have taken.

    Args:
        max_shift: Largest offset per axis in pixels, ends included; the set is every multiple of
            ``fraction`` from −``max_shift`` to it.
        fraction: Step in pixels: 1, 0.5, 0.25 or another 1/n.
        sampling: Which of the offsets are shown; one step of the path is a whole pixel.
        offsets: First and last offset per axis in pixels, instead of ±``max_shift``, with steps of
            ``fraction`` from the first one on; where 0 is none of them, the base view is not one
            of the set.
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
        """Return which shifts every image is shown."""
        grid = fractional_grid(
            "shift.camera", self.fraction, self.max_shift, self.offsets, image_size
        )
        return self.sampling.plan(n_images, grid, "camera")

    def views(self, split: ShownSplit, index: Tensor, shifts: Tensor) -> Tensor:
        """Return scene ``index[n]`` moved by ``shifts[n]`` px, ``(N, 3, size, size)`` uint8."""
        return split.render(index, shifts)
