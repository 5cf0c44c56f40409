"""Windows of real pixels that grow and shrink pixel by pixel, resized to the same size."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from shiftbench.errors import UsageError, require_one_of
from shiftbench.seeds import derive_seed
from shiftbench.shift.base import ShiftProtocol
from shiftbench.shift.lattice import lattice
from shiftbench.shift.plan import Plan
from shiftbench.shift.sampling import AxisSampling, takes_sampling

if TYPE_CHECKING:
    from shiftbench.data.shown import ShownSplit

POINTS = ("centre", "random")


@takes_sampling
@dataclass(frozen=True)
class Zoom(ShiftProtocol):
    """A window of w × w px inside a larger image, resized to the network's input size S × S.

    w goes from S − ``max_change`` to S + ``max_change`` pixel by pixel; the axis is ``zoom``, the
    factor S/w, 1 for the base view. The larger image is S + ``margin`` px wide, in units of
    which w is counted: of photographs (``data=imagenet``) it is the whole central square, other
    images are the larger image themselves, so that the base view shows their central part,
    enlarged. Every view is resized (antialiased) once, photographs directly from the decoded file;
    no pixel is made up. Images that are not square keep their aspect ratio. After Azulay & Weiss
    2019 (arXiv 1805.12177) and the ``scale`` sequences of Hendrycks & Dietterich 2019
    (arXiv 1903.12261).

    Args:
        margin: Pixels by which the image exceeds the base view; None is a seventh of the shorter
            side, which gives 256 px for 224 px.
        max_change: Largest change of the window's side in pixels; None is half the margin.
        about: The point that stays where it is in all views of an image: ``centre``, or
            ``random``, drawn per image from the seed of ``sampling``, uniform over the base view.
        interpolation: ``bilinear`` or ``bicubic``; photographs are resized as the network's
            preprocessing does.
        sampling: Which of the factors are tested; one step is one pixel of the window.
    """

    margin: int | None = None
    max_change: int | None = None
    about: str = "centre"
    interpolation: str = "bicubic"
    sampling: AxisSampling = field(default=AxisSampling())
    axes = ("zoom",)

    def __post_init__(self) -> None:
        require_one_of("shift.zoom.about", self.about, POINTS)
        require_one_of("shift.zoom.interpolation", self.interpolation, ("bilinear", "bicubic"))

    def plan(self, n_images: int, image_size: tuple[int, int]) -> Plan:
        """Return the factors under which every image is tested."""
        side, (_, change) = min(image_size), self._reach(image_size)
        factors = [side / window for window in range(side - change, side + change + 1)]
        plan = self.sampling.plan(n_images, lattice([factors], [1]), "zoom")
        plan.meta["step"] = "1 px of the window"
        return plan

    def views(self, split: ShownSplit, index: Tensor, shifts: Tensor) -> Tensor:
        """Return the windows of images ``index``, enlarged by ``shifts[n, 0]``, ``(N, C, H, W)``.

        In the dtype of the images.
        """
        side, (margin, _) = min(split.image_size), self._reach(split.image_size)
        # The factor is a float32 of side/window, and the window is whole.
        window = (side / shifts[:, :1].double().cpu()).round()
        corner = margin / 2 + self._points(split, index) * (side - window)
        boxes = torch.cat([corner, window.expand(-1, 2)], dim=1) / (side + margin)
        return split.windows(index, boxes, split.image_size, self.interpolation)

    def _points(self, split: ShownSplit, index: Tensor) -> Tensor:
        """Return the fixed points ``(N, 2)``, (y, x) in 0..1 of the base view."""
        if self.about == "centre":
            return torch.full((len(index), 2), 0.5, dtype=torch.float64)
        generator = torch.Generator().manual_seed(derive_seed(self.sampling.seed, "zoom", "point"))
        points = torch.rand(len(split), 2, generator=generator, dtype=torch.float64)
        return points[index.cpu()]

    def _reach(self, image_size: tuple[int, int]) -> tuple[int, int]:
        """Return the margin and the largest change in pixels."""
        shorter = min(image_size)
        margin = max(2, round(shorter / 7)) if self.margin is None else self.margin
        if not 1 <= margin <= shorter:
            raise UsageError(
                f"shift.zoom.margin={self.margin} does not fit images of "
                f"{image_size[0]}×{image_size[1]}; allowed: 1 to {shorter}, or null for a seventh"
            )
        change = max(1, margin // 2) if self.max_change is None else self.max_change
        most = min(margin if self.about == "centre" else margin // 2, shorter - 1)
        if not 1 <= change <= most:
            raise UsageError(
                f"shift.zoom.max_change={self.max_change} with about={self.about} leaves a margin "
                f"of {margin} px; allowed: 1 to {most}, or a larger margin"
            )
        return margin, change
