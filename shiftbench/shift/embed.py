"""A reduced image on a canvas: the whole object moves, nothing of it is lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from shiftbench.errors import UsageError, require_one_of
from shiftbench.geometry import resize
from shiftbench.shift.canvas import FILLS, on_canvas
from shiftbench.shift.plan import Plan, Sampling, box
from shiftbench.shift.values import canvas_size, object_size, side


@dataclass(frozen=True)
class Embed:
    """The image, reduced (antialiased), pasted on a canvas and moved by whole pixels.

    The set is every position on the canvas; the base view is the central one. Source: Azulay &
    Weiss 2019 (arXiv 1805.12177), an object of 100 px on a canvas of 224 px.

    Args:
        size: Shorter side of the reduced image in pixels; below 1 a fraction of the canvas.
        canvas: Side of the canvas in pixels; None is the size of the images. Another size is for
            networks that take it, those with a global head.
        fill: What surrounds the object: ``black`` (0 before normalisation), ``mean`` (of the
            training pixels) or ``inpaint`` (known pixels blurred outwards).
        sampling: See :class:`~shiftbench.shift.plan.Sampling`, as the fields below.
    """

    size: float = 0.75
    canvas: int | None = None
    fill: str = "black"
    sampling: str = "auto"
    draws: int = 32
    steps: int = 8
    seed: int = 0
    path: str = "diagonal"
    axes = ("dy", "dx")

    def __post_init__(self) -> None:
        require_one_of("shift.embed.fill", self.fill, FILLS)

    def plan(self, n_images: int, image_size: tuple[int, int]) -> Plan:
        """Return which shifts every image is shown."""
        size, canvas = self._sizes(image_size)
        room = [outer - inner for outer, inner in zip(canvas, size, strict=True)]
        rows, columns = (range(-(free // 2), free - free // 2 + 1) for free in room)
        picker = Sampling(self.sampling, self.draws, self.steps, self.seed, self.path)
        return picker.plan(n_images, box(rows, columns), "embed")

    def views(self, images: Tensor, shifts: Tensor, mean: Sequence[float] | None = None) -> Tensor:
        """Return image n on its canvas, ``shifts[n]`` from the centre.

        ``(N, C, H, W) -> (N, C, canvas, canvas)``, in the type of ``images``.
        """
        height, width = images.shape[-2:]
        size, canvas = self._sizes((height, width))
        base = torch.tensor([(canvas[0] - size[0]) // 2, (canvas[1] - size[1]) // 2])
        corners = base + shifts.cpu().long()
        return on_canvas(resize(images, size), corners, canvas, self.fill, mean)

    def _sizes(self, image_size: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
        canvas = canvas_size("shift.embed.canvas", self.canvas, image_size)
        size = object_size(side("shift.embed.size", self.size, canvas), image_size)
        if size[0] > canvas[0] or size[1] > canvas[1] or size == canvas:
            raise UsageError(
                f"shift.embed.size={self.size} leaves no room on a canvas of "
                f"{canvas[0]}×{canvas[1]}; give a smaller size or a larger canvas"
            )
        return size, canvas
