"""A camera that moves by any part of a pixel: the scene is drawn again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from shiftbench.errors import UsageError
from shiftbench.shift.fraction import fractional_grid
from shiftbench.shift.plan import Plan, Sampling
from shiftbench.shift.values import ends


@dataclass(frozen=True)
class Camera:
    """The scenes of ``data=shapes`` rendered again after a real-valued move.

    Nothing is interpolated and no border is made up: at any offset the picture is what the camera
    would have taken. It needs scenes, so it shows a split (:meth:`views_of`), not images.

    Args:
        max_shift: Largest offset per axis in pixels, ends included; the set is every multiple of
            ``fraction`` from −``max_shift`` to it.
        fraction: Step in pixels: 1, 0.5, 0.25 or another 1/n.
        sampling: See :class:`~shiftbench.shift.plan.Sampling`, as the fields below; one step of
            the path is a whole pixel.
        offsets: First and last offset per axis in pixels, instead of ±``max_shift``, with steps of
            ``fraction`` from the first one on; where 0 is none of them, the base view is not one
            of the set.
    """

    max_shift: float = 2
    fraction: float = 0.5
    sampling: str = "auto"
    draws: int = 32
    steps: int = 8
    seed: int = 0
    path: str = "diagonal"
    offsets: Sequence[float] | None = None
    axes = ("dy", "dx")

    def __post_init__(self) -> None:
        given = ends("shift.camera.offsets", self.offsets, whole=False)
        object.__setattr__(self, "offsets", given)

    def plan(self, n_images: int, image_size: tuple[int, int]) -> Plan:
        """Return which shifts every image is shown."""
        grid = fractional_grid(
            "shift.camera", self.fraction, self.max_shift, self.offsets, image_size
        )
        picker = Sampling(self.sampling, self.draws, self.steps, self.seed, self.path)
        return picker.plan(n_images, grid, "camera")

    def check(self, split: Any) -> None:
        """Refuse a split that cannot be rendered again.

        Raises:
            UsageError: If ``split`` is not one of ``data=shapes``.
        """
        if not hasattr(split, "render"):
            raise UsageError(
                "shift=camera renders scenes again, and only data=shapes has scenes; "
                "give data=shapes, or shift=subpixel for other images"
            )

    def views(self, images: Tensor, shifts: Tensor, mean: Sequence[float] | None = None) -> Tensor:
        """Refuse, as pixels hold no scene; see :meth:`views_of`."""
        raise UsageError("shift=camera needs the scenes of data=shapes; images cannot be rendered")

    def views_of(self, split: Any, index: Tensor, shifts: Tensor) -> Tensor:
        """Return scene ``index[n]`` of ``split`` moved by ``shifts[n]`` px.

        ``(N,)`` positions in the split, ``(N, 2) -> (N, 3, size, size)`` uint8 on its device.
        """
        views: Tensor = split.render(shifts, index)
        return views
