"""A pasted image that grows by one pixel at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from shiftbench.errors import UsageError, require_one_of
from shiftbench.shift.base import ShiftProtocol
from shiftbench.shift.canvas import FILLS, on_canvas
from shiftbench.shift.plan import Plan
from shiftbench.shift.values import canvas_size, object_size, side

if TYPE_CHECKING:
    from shiftbench.data.shown import ShownSplit


@dataclass(frozen=True)
class Rescale(ShiftProtocol):
    """The image, reduced (antialiased), pasted on a canvas at ``steps`` + 1 consecutive sizes.

    The axis is ``scale``, the shorter side of the object in pixels; the base view is the smallest
    size. The object stays centred, up to half a pixel if the difference between canvas and object
    is odd. Of photographs (``data=imagenet``), the whole central square is reduced from the file to
    every size; other images are reduced from the network's input. Source: Azulay & Weiss 2019
    (arXiv 1805.12177), from 100 to 101 px on a canvas of 224 px.

    Args:
        size: Shorter side of the smallest object in pixels; a value below 1 is a fraction of the
            canvas.
        steps: Number of times that the object grows by one pixel.
        canvas: Side of the canvas in pixels; None is the size of the images. Other sizes require a
            network that accepts them, i.e. one with a global head.
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
        """Return the sizes of every image: all of them, each one step after the previous one."""
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

    def views(self, split: ShownSplit, index: Tensor, shifts: Tensor) -> Tensor:
        """Return image ``index[n]`` on its canvas, with a shorter side of ``shifts[n, 0]`` px.

        ``(N, C, canvas, canvas)``, in the dtype of the images; with ``mean``, float in 0..1.
        """
        canvas, scales = self._canvas(split.image_size), shifts[:, 0].long().cpu()
        parts, places = [], []
        for scale in scales.unique().tolist():
            chosen = (scales == scale).nonzero().squeeze(1)
            size = object_size(scale, split.image_size)
            corner = torch.tensor([(canvas[0] - size[0]) // 2, (canvas[1] - size[1]) // 2])
            objects = split.pixels(index.cpu()[chosen], size)
            corners = corner.expand(len(chosen), 2)
            parts.append(on_canvas(objects, corners, canvas, self.fill, split.mean))
            places.append(chosen)
        views = torch.cat(parts)[torch.cat(places).argsort()]
        return views.contiguous(memory_format=torch.channels_last)

    def source_sizes(self, image_size: tuple[int, int]) -> list[tuple[int, int]]:
        """Return the sizes of the object, in increasing order."""
        return [object_size(scale, image_size) for scale in self._scales(image_size)]

    def _canvas(self, image_size: tuple[int, int]) -> tuple[int, int]:
        return canvas_size("shift.rescale.canvas", self.canvas, image_size)

    def _scales(self, image_size: tuple[int, int]) -> list[int]:
        smallest = side("shift.rescale.size", self.size, self._canvas(image_size))
        return list(range(smallest, smallest + self.steps + 1))
