"""Rotations and translations together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from torch import Tensor

from shiftbench.errors import UsageError, require_one_of, require_within
from shiftbench.ops.rotation import FILLS, INTERPOLATIONS, turn
from shiftbench.shift.base import ShiftProtocol
from shiftbench.shift.lattice import lattice, with_step
from shiftbench.shift.plan import Plan
from shiftbench.shift.sampling import AxisSampling, takes_sampling

if TYPE_CHECKING:
    from shiftbench.data.shown import ShownSplit

MOST_PER_AXIS = 721


@takes_sampling
@dataclass(frozen=True)
class RotateTranslate(ShiftProtocol):
    """The image rotated about its centre and then moved, on a grid of offsets and angles.

    Each view is interpolated once; by multiples of 90° and whole pixels, pixels are moved. Of
    Engstrom et al. 2019 (arXiv 1712.02779), whose released code interpolates twice, first for the
    rotation and then for the translation.

    Args:
        max_shift: Largest offset along each axis in pixels; a value below 1 is a fraction of the
            shorter side.
        max_angle: Largest angle in degrees, to both sides.
        shifts: Number of offsets along each axis, evenly spaced from −``max_shift`` to
            ``max_shift``; odd, so that 0 is one of them.
        angles: Number of angles from −``max_angle`` to ``max_angle``; odd. One step of the path
            leads to the next angle at the same offset.
        interpolation: ``nearest``, ``bilinear`` or ``bicubic``.
        fill: What fills uncovered pixels: ``black`` (0 before normalisation), ``mean`` (of the
            training pixels), ``reflect`` or ``edge``.
        sampling: Which combinations are tested.
    """

    max_shift: float = 3
    max_angle: float = 30
    shifts: int = 5
    angles: int = 31
    interpolation: str = "bilinear"
    fill: str = "black"
    sampling: AxisSampling = field(default=AxisSampling())
    axes = ("dy", "dx", "angle")

    def __post_init__(self) -> None:
        key = "shift.rotate_translate"
        require_one_of(f"{key}.interpolation", self.interpolation, INTERPOLATIONS)
        require_one_of(f"{key}.fill", self.fill, FILLS)
        require_within(f"{key}.max_angle", self.max_angle, 0.001, 179.999)
        for name, count in (("shifts", self.shifts), ("angles", self.angles)):
            if not isinstance(count, int) or not 3 <= count <= MOST_PER_AXIS or count % 2 == 0:
                raise UsageError(
                    f"{key}.{name}={count} is not allowed; give an odd number from 3 to "
                    f"{MOST_PER_AXIS}, so that 0 is in the middle"
                )

    def plan(self, n_images: int, image_size: tuple[int, int]) -> Plan:
        """Return the offsets and angles under which every image is tested."""
        reach = self._reach(image_size)
        offsets, angles = _spread(reach, self.shifts), _spread(self.max_angle, self.angles)
        grid = lattice([offsets, offsets, angles], [0, 0, 0])
        plan = self.sampling.plan(n_images, grid, "rotate_translate")
        return with_step(plan, angles, "°", "next angle")

    def views(self, split: ShownSplit, index: Tensor, shifts: Tensor) -> Tensor:
        """Return image ``index[n]`` rotated by ``shifts[n, 2]`` degrees and moved by (dy, dx).

        ``(N, C, H, W)`` float32 in 0..1; bicubic interpolation overshoots.
        """
        form = (self.interpolation, self.fill, split.mean)
        return turn(split.pixels(index), shifts[:, 2], shifts[:, :2], *form)

    def _reach(self, image_size: tuple[int, int]) -> float:
        shorter = min(image_size)
        reach = self.max_shift * shorter if 0 < self.max_shift < 1 else self.max_shift
        if not 0 < reach < shorter:
            raise UsageError(
                f"shift.rotate_translate.max_shift={self.max_shift} does not fit images of "
                f"{image_size[0]}×{image_size[1]}; allowed: 1 to {shorter - 1} px, or a fraction "
                "between 0 and 1"
            )
        return reach


def _spread(reach: float, count: int) -> list[float]:
    """Return ``count`` evenly spaced numbers from −reach to reach, 0 exactly in the middle."""
    middle = count // 2
    return [round(float(step * reach / middle), 9) for step in range(-middle, middle + 1)]
