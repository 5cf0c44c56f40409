"""A reduced image on a canvas: the whole object moves, and no part of it leaves the frame."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from shiftbench.errors import UsageError, require_one_of
from shiftbench.shift.base import ShiftProtocol
from shiftbench.shift.canvas import FILLS, on_canvas
from shiftbench.shift.plan import Plan, box
from shiftbench.shift.sampling import Sampling, takes_sampling
from shiftbench.shift.values import BASES, base_corner, canvas_size, object_size, side

if TYPE_CHECKING:
    from shiftbench.data.shown import ShownSplit


@takes_sampling
@dataclass(frozen=True)
class Embed(ShiftProtocol):
    """The image, reduced (antialiased), pasted on a canvas and moved by whole pixels.

    The offsets cover every position on the canvas. Of photographs (``data=imagenet``), the whole
    central square is reduced from the file; other images are reduced from the network's input.
    Source: Azulay & Weiss 2019 (arXiv 1805.12177), an object of 100 px on a canvas of 224 px.

    Args:
        size: Shorter side of the reduced image in pixels; a value below 1 is a fraction of the
            canvas.
        canvas: Side of the canvas in pixels; None is the size of the images. Other sizes require a
            network that accepts them, i.e. one with a global head.
        fill: What surrounds the object: ``black`` (0 before normalisation), ``mean`` (of the
            training pixels) or ``inpaint`` (known pixels blurred outwards).
        base: Position of the base view's corner: ``centre``, ⌊room/2⌋, where room is the side of
            the canvas minus that of the object, or ``before_centre``, ⌊(room − 1)/2⌋ as in Azulay
            & Weiss's script, one pixel less if the room is even.
        sampling: Which of the offsets are tested.
    """

    size: float = 0.75
    canvas: int | None = None
    fill: str = "black"
    base: str = "centre"
    sampling: Sampling = field(default=Sampling())

    def __post_init__(self) -> None:
        require_one_of("shift.embed.fill", self.fill, FILLS)
        require_one_of("shift.embed.base", self.base, BASES)

    def plan(self, n_images: int, image_size: tuple[int, int]) -> Plan:
        """Return the shifts under which every image is tested."""
        bases, room = self._base(image_size), self._room(image_size)
        rows, columns = (
            range(-base, free - base + 1) for base, free in zip(bases, room, strict=True)
        )
        return self.sampling.plan(n_images, box(rows, columns), "embed")

    def views(self, split: ShownSplit, index: Tensor, shifts: Tensor) -> Tensor:
        """Return image ``index[n]`` on its canvas, shifted by ``shifts[n]`` from the base view.

        ``(N, C, canvas, canvas)``, in the dtype of the images; with ``mean``, float in 0..1.
        """
        size, canvas = self._sizes(split.image_size)
        corners = torch.tensor(self._base(split.image_size)) + shifts.cpu().long()
        return on_canvas(split.pixels(index, size), corners, canvas, self.fill, split.mean)

    def source_sizes(self, image_size: tuple[int, int]) -> list[tuple[int, int]]:
        """Return the size of the object."""
        return [self._sizes(image_size)[0]]

    def _base(self, image_size: tuple[int, int]) -> list[int]:
        return [base_corner(self.base, free) for free in self._room(image_size)]

    def _room(self, image_size: tuple[int, int]) -> list[int]:
        """Return the difference in pixels between canvas and object, vertical and horizontal."""
        size, canvas = self._sizes(image_size)
        return [outer - inner for outer, inner in zip(canvas, size, strict=True)]

    def _sizes(self, image_size: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
        canvas = canvas_size("shift.embed.canvas", self.canvas, image_size)
        size = object_size(side("shift.embed.size", self.size, canvas), image_size)
        if size[0] > canvas[0] or size[1] > canvas[1] or size == canvas:
            raise UsageError(
                f"shift.embed.size={self.size} leaves no room on a canvas of "
                f"{canvas[0]}×{canvas[1]}; give a smaller size or a larger canvas"
            )
        return size, canvas
