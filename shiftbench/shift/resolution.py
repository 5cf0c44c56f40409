"""The same field of view at several resolutions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from shiftbench.errors import UsageError, require_one_of
from shiftbench.ops.geometry import resize
from shiftbench.shift.base import ShiftProtocol
from shiftbench.shift.lattice import lattice
from shiftbench.shift.plan import Plan
from shiftbench.shift.sampling import AxisSampling, takes_sampling
from shiftbench.shift.values import object_size, side

if TYPE_CHECKING:
    from shiftbench.data.shown import ShownSplit

PARTS = 16  # steps per side by default


@takes_sampling
@dataclass(frozen=True)
class Resolution(ShiftProtocol):
    """What the network is shown, reduced (antialiased) to r px, the axis ``resolution``.

    r goes from the network's input size S, the base view, down to ``size`` in steps of ``step``;
    nothing enters or leaves the frame. Views are enlarged to S again, which leaves the loss of
    detail (Rahman & Yeh 2023, arXiv 2311.02922), or given to the network as they are, which also
    makes objects smaller (Touvron et al. 2019, arXiv 1906.06423). Photographs (``data=imagenet``)
    are reduced directly from the decoded file, other images from the network's input.

    Args:
        size: Shorter side of the smallest view in pixels; a value below 1 is a fraction of S.
        step: Pixels between resolutions; None is a sixteenth of S. One step of the path leads to
            the next larger r.
        back: Whether views are enlarged to S; otherwise the network has to take every r, as those
            with a global head do.
        interpolation: ``bilinear`` or ``bicubic``; photographs are reduced as the network's
            preprocessing does.
        sampling: Which of the resolutions are tested.
    """

    size: float = 0.5
    step: int | None = None
    back: bool = True
    interpolation: str = "bicubic"
    sampling: AxisSampling = field(default=AxisSampling())
    axes = ("resolution",)

    def __post_init__(self) -> None:
        modes = ("bilinear", "bicubic")
        require_one_of("shift.resolution.interpolation", self.interpolation, modes)

    def plan(self, n_images: int, image_size: tuple[int, int]) -> Plan:
        """Return the resolutions at which every image is tested."""
        shorter = min(image_size)
        smallest = side("shift.resolution.size", self.size, image_size)
        step = max(1, round(shorter / PARTS)) if self.step is None else self.step
        if not 1 <= step <= shorter - smallest:
            raise UsageError(
                f"shift.resolution.step={self.step} leaves a single resolution from {shorter} down "
                f"to {smallest} px; give a smaller step or size"
            )
        sizes = range(shorter, smallest - 1, -step)
        plan = self.sampling.plan(n_images, lattice([sizes], [shorter]), "resolution")
        plan.meta["step"] = f"{step} px of the resolution"
        return plan

    def views(self, split: ShownSplit, index: Tensor, shifts: Tensor) -> Tensor:
        """Return images ``index`` at ``shifts[n, 0]`` px.

        ``(N, C, H, W)`` in the dtype of the images; without ``back``, all shifts have to be one r.
        """
        sides, parts, places = shifts[:, 0].long().cpu(), [], []
        for shorter in sides.unique().tolist():
            chosen = (sides == shorter).nonzero().squeeze(1)
            reduced = self._reduced(split, index.cpu()[chosen], shorter)
            parts.append(
                resize(reduced, split.image_size, self.interpolation) if self.back else reduced
            )
            places.append(chosen)
        order = torch.cat(places).argsort()
        return torch.cat(parts)[order.to(parts[0].device)].contiguous(
            memory_format=torch.channels_last
        )

    def size_groups(self, shifts: Tensor) -> Tensor | None:
        """Return the resolution of each view ``(N,)``, None if all are enlarged to one size."""
        return None if self.back else shifts[..., 0].long()

    def _reduced(self, split: ShownSplit, index: Tensor, shorter: int) -> Tensor:
        if shorter == min(split.image_size):
            return split.pixels(index)
        boxes = torch.tensor([split.shown_box], dtype=torch.float64).expand(len(index), 4)
        size = object_size(shorter, split.image_size)
        return split.windows(index, boxes, size, self.interpolation)
