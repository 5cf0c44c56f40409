"""Rotations about the centre of the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from shiftbench.errors import UsageError, printable, require_one_of
from shiftbench.ops.geometry import fill_value
from shiftbench.ops.rotation import FILLS, INTERPOLATIONS, disc, turn
from shiftbench.shift.base import ShiftProtocol
from shiftbench.shift.lattice import lattice, with_step
from shiftbench.shift.plan import Plan
from shiftbench.shift.sampling import AxisSampling, takes_sampling

if TYPE_CHECKING:
    from shiftbench.data.shown import ShownSplit

MOST_ANGLES = 3600


@takes_sampling
@dataclass(frozen=True)
class Rotate(ShiftProtocol):
    """The image rotated about its centre, in degrees counter-clockwise.

    Rotations by multiples of 90° move pixels and interpolate nothing (of images that are not
    square, multiples of 180°), so that a network with that symmetry answers exactly alike.
    Source: Engstrom et al. 2019 (arXiv 1712.02779); Worrall et al. 2017 (arXiv 1612.04642).

    Args:
        angles: The tested angles in degrees, −360 to 360; None for all multiples of ``step`` from
            −180 to below 180. If 0 is not among them, the base view is not in the set of shifts.
        step: Degrees between the angles of a full circle, a divisor of 360. One step of the path
            is this angle, or leads to the next larger one of ``angles``.
        interpolation: ``nearest``, ``bilinear`` or ``bicubic``.
        fill: What fills uncovered pixels: ``black`` (0 before normalisation), ``mean`` (of the
            training pixels), ``reflect`` or ``edge``.
        mask: Whether every view, the base view too, shows the inscribed circle only, with ``fill``
            around it: no pixel of the circle is ever uncovered.
        sampling: Which of the angles are tested.
    """

    angles: Sequence[float] | None = None
    step: float = 10
    interpolation: str = "bilinear"
    fill: str = "black"
    mask: bool = False
    sampling: AxisSampling = field(default=AxisSampling())
    axes = ("angle",)

    def __post_init__(self) -> None:
        require_one_of("shift.rotate.interpolation", self.interpolation, INTERPOLATIONS)
        require_one_of("shift.rotate.fill", self.fill, FILLS)
        if self.mask and self.fill not in ("black", "mean"):
            raise UsageError(
                f"shift.rotate.fill={self.fill} cannot surround the circle of mask=true; "
                "give fill=black or fill=mean"
            )
        object.__setattr__(self, "angles", _listed(self.angles))
        count = 360 / self.step if self.step > 0 else 0
        if not 2 <= count <= MOST_ANGLES or abs(count - round(count)) > 1e-6:
            raise UsageError(
                f"shift.rotate.step={self.step} is not allowed; give a divisor of 360 from "
                f"{360 / MOST_ANGLES} to 180 degrees, or list the angles"
            )

    def plan(self, n_images: int, image_size: tuple[int, int]) -> Plan:
        """Return the angles under which every image is tested."""
        count = round(360 / self.step)
        full = [(number - count // 2) * 360 / count for number in range(count)]
        angles = full if self.angles is None else self.angles
        grid = lattice([angles], [0], is_closed=self.angles is None)
        plan = self.sampling.plan(n_images, grid, "rotate")
        return with_step(plan, angles, "°", "next angle")

    def views(self, split: ShownSplit, index: Tensor, shifts: Tensor) -> Tensor:
        """Return image ``index[n]`` rotated by ``shifts[n, 0]`` degrees.

        ``(N, C, H, W)`` float32 in 0..1; bicubic interpolation overshoots.
        """
        images = split.pixels(index)
        form = (self.interpolation, self.fill, split.mean)
        turned = turn(images, shifts[:, 0], None, *form)
        if not self.mask:
            return turned
        around = fill_value(turned, self.fill, split.mean)[:, None, None]
        circle = disc((turned.shape[-2], turned.shape[-1]), turned.device)
        return turned.where(circle, around).contiguous(memory_format=torch.channels_last)


def _listed(angles: Sequence[float] | None) -> tuple[float, ...] | None:
    """Return the angles as given; None stays None.

    Raises:
        UsageError: If they are not numbers within a turn, or two of them are one rotation.
    """
    if angles is None:
        return None
    given = [] if isinstance(angles, str | int | float) else list(angles)
    numbers = all(isinstance(angle, int | float) and abs(angle) <= 360 for angle in given)
    if not given or not numbers or len({angle % 360 for angle in given}) < len(given):
        raise UsageError(
            f"shift.rotate.angles={printable(angles)} is not allowed; give a list of different "
            "rotations from −360 to 360 degrees, or null"
        )
    return tuple(given)
