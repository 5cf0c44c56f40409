"""A pasted image that grows by one pixel at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from shiftbench.errors import UsageError, require_one_of
from shiftbench.ops.geometry import resize
from shiftbench.shift.canvas import FILLS, on_canvas
from shiftbench.shift.plan import Plan
from shiftbench.shift.values import canvas_size, object_size, side


@dataclass(frozen=True)
class Rescale:
    """The image, reduced (antialiased), pasted on a canvas at ``steps`` + 1 consecutive sizes.

    The axis is ``scale``, the shorter side of the object in pixels; the base view is the smallest.
    The centre stays, to the half pixel that an odd difference leaves. Photographs
    (``data=imagenet``) are reduced from their files to every size, the whole centre square, other
    images from what the network is shown. Source: Azulay & Weiss 2019 (arXiv 1805.12177), from 100
    to 101 px on a canvas of 224 px.

    Args:
        size: Smallest shorter side in pixels; below 1 a fraction of the canvas.
        steps: How often it grows by one pixel.
        canvas: Side of the canvas in pixels; None is the size of the images. Another size is for
            networks that take it, those with a global head.
        fill: What surrounds the object: ``black`` (0 before normalisation), ``mean`` (of the
            training pixels) or ``inpaint`` (known pixels blurred outwards).
    """

    size: float = 0.75
    steps: int = 8
    canvas: int | None = None
    fill: str = "black"
    axes = ("scale",)

    def __post_init__(self) -> None:
        require_one_of("shift.rescale.fill", self.fill, FILLS)
        if self.steps < 1:
            raise UsageError(f"shift.rescale.steps={self.steps} is too few; allowed: 1 or more")

    def plan(self, n_images: int, image_size: tuple[int, int]) -> Plan:
        """Return which sizes every image is shown: all of them, each one step after the last."""
        canvas = self._canvas(image_size)
        smallest = side("shift.rescale.size", self.size, canvas)
        largest = object_size(smallest + self.steps, image_size)
        if largest[0] > canvas[0] or largest[1] > canvas[1]:
            raise UsageError(
                f"shift.rescale.size={self.size} with steps={self.steps} grows to "
                f"{largest[0]}×{largest[1]} px on a canvas of {canvas[0]}×{canvas[1]}; "
                "give a smaller size or fewer steps"
            )
        columns = self.steps + 1
        shifts = torch.tensor(self._scales(image_size))[:, None]
        sampled = torch.ones(columns, dtype=torch.bool)
        return Plan(shifts, sampled, torch.arange(-1, columns - 1), exhaustive=True)

    def views(self, images: Tensor, shifts: Tensor, mean: Sequence[float] | None = None) -> Tensor:
        """Return image n on its canvas, its shorter side ``shifts[n, 0]`` px.

        ``(N, C, H, W) -> (N, C, canvas, canvas)``, in the type of ``images``, but for ``mean``.
        """
        image_size = (images.shape[-2], images.shape[-1])
        return self._placed(
            lambda scale, chosen: resize(images[chosen], object_size(scale, image_size)),
            shifts.to(images.device),
            image_size,
            mean,
        )

    def source_sizes(self, image_size: tuple[int, int]) -> list[tuple[int, int]]:
        """Return every size of the object, the smallest first."""
        return [object_size(scale, image_size) for scale in self._scales(image_size)]

    def views_of_sources(
        self,
        sources: Sequence[Tensor],
        shifts: Tensor,
        image_size: tuple[int, int],
        mean: Sequence[float] | None = None,
    ) -> Tensor:
        """Return the objects, given at every one of :meth:`source_sizes`, on their canvas."""
        of_scale = dict(zip(self._scales(image_size), sources, strict=True))
        shifts = shifts.to(sources[0].device)
        return self._placed(lambda scale, chosen: of_scale[scale][chosen], shifts, image_size, mean)

    def _placed(
        self,
        objects: Callable[[int, Tensor], Tensor],
        shifts: Tensor,
        image_size: tuple[int, int],
        mean: Sequence[float] | None,
    ) -> Tensor:
        """Return image n on its canvas; ``objects`` has the images at an index at a scale."""
        canvas, scales = self._canvas(image_size), shifts[:, 0].long()
        parts, places = [], []
        for scale in scales.unique().tolist():
            chosen = (scales == scale).nonzero().squeeze(1)
            size = object_size(scale, image_size)
            corner = torch.tensor([(canvas[0] - size[0]) // 2, (canvas[1] - size[1]) // 2])
            corners = corner.expand(len(chosen), 2)
            parts.append(on_canvas(objects(scale, chosen), corners, canvas, self.fill, mean))
            places.append(chosen)
        views = torch.cat(parts)[torch.cat(places).argsort()]
        return views.contiguous(memory_format=torch.channels_last)

    def _canvas(self, image_size: tuple[int, int]) -> tuple[int, int]:
        return canvas_size("shift.rescale.canvas", self.canvas, image_size)

    def _scales(self, image_size: tuple[int, int]) -> list[int]:
        smallest = side("shift.rescale.size", self.size, self._canvas(image_size))
        return list(range(smallest, smallest + self.steps + 1))
