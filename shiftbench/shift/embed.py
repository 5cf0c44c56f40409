"""A reduced image on a canvas: the whole object moves, nothing of it is lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from shiftbench.errors import UsageError, require_one_of
from shiftbench.ops.geometry import resize
from shiftbench.shift.canvas import FILLS, on_canvas
from shiftbench.shift.plan import Plan, Sampling, box
from shiftbench.shift.values import BASES, base_corner, canvas_size, object_size, side


@dataclass(frozen=True)
class Embed:
    """The image, reduced (antialiased), pasted on a canvas and moved by whole pixels.

    The set is every position on the canvas. Photographs (``data=imagenet``) are reduced from their
    files, the whole centre square, other images from what the network is shown. Source: Azulay &
    Weiss 2019 (arXiv 1805.12177), an object of 100 px on a canvas of 224 px.

    Args:
        size: Shorter side of the reduced image in pixels; below 1 a fraction of the canvas.
        canvas: Side of the canvas in pixels; None is the size of the images. Another size is for
            networks that take it, those with a global head.
        fill: What surrounds the object: ``black`` (0 before normalisation), ``mean`` (of the
            training pixels) or ``inpaint`` (known pixels blurred outwards).
        base: Where the base view's corner is: ``centre``, ⌊room/2⌋ of the pixels that are left
            beside the object, or ``before_centre``, ⌊(room − 1)/2⌋ as in Azulay & Weiss's script,
            a pixel less where the room is even.
        sampling: See :class:`~shiftbench.shift.plan.Sampling`, as the fields below.
    """

    size: float = 0.75
    canvas: int | None = None
    fill: str = "black"
    base: str = "centre"
    sampling: str = "auto"
    draws: int = 32
    steps: int = 8
    seed: int = 0
    path: str = "diagonal"
    axes = ("dy", "dx")

    def __post_init__(self) -> None:
        require_one_of("shift.embed.fill", self.fill, FILLS)
        require_one_of("shift.embed.base", self.base, BASES)

    def plan(self, n_images: int, image_size: tuple[int, int]) -> Plan:
        """Return which shifts every image is shown."""
        bases, room = self._base(image_size), self._room(image_size)
        rows, columns = (
            range(-base, free - base + 1) for base, free in zip(bases, room, strict=True)
        )
        picker = Sampling(self.sampling, self.draws, self.steps, self.seed, self.path)
        return picker.plan(n_images, box(rows, columns), "embed")

    def views(self, images: Tensor, shifts: Tensor, mean: Sequence[float] | None = None) -> Tensor:
        """Return image n on its canvas, ``shifts[n]`` from the base view.

        ``(N, C, H, W) -> (N, C, canvas, canvas)``, in the type of ``images``, but for ``mean``.
        """
        image_size = (images.shape[-2], images.shape[-1])
        objects = [resize(images, size) for size in self.source_sizes(image_size)]
        return self.views_of_sources(objects, shifts, image_size, mean)

    def source_sizes(self, image_size: tuple[int, int]) -> list[tuple[int, int]]:
        """Return the size of the object."""
        return [self._sizes(image_size)[0]]

    def views_of_sources(
        self,
        sources: Sequence[Tensor],
        shifts: Tensor,
        image_size: tuple[int, int],
        mean: Sequence[float] | None = None,
    ) -> Tensor:
        """Return objects that have the one size of :meth:`source_sizes` on their canvas."""
        corners = torch.tensor(self._base(image_size)) + shifts.cpu().long()
        return on_canvas(sources[0], corners, self._sizes(image_size)[1], self.fill, mean)

    def _base(self, image_size: tuple[int, int]) -> list[int]:
        return [base_corner(self.base, free) for free in self._room(image_size)]

    def _room(self, image_size: tuple[int, int]) -> list[int]:
        """Return the pixels, down and across, that the object does not cover."""
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
