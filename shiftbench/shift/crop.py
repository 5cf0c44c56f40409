"""Windows of a larger image: uncovered pixels are filled with image content."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from shiftbench.errors import UsageError, require_one_of
from shiftbench.ops.geometry import windows
from shiftbench.shift.base import ShiftProtocol
from shiftbench.shift.plan import Plan, box
from shiftbench.shift.sampling import PeerSampling, takes_sampling
from shiftbench.shift.values import BASES, base_corner

if TYPE_CHECKING:
    from shiftbench.data.shown import ShownSplit


@takes_sampling
@dataclass(frozen=True)
class Crop(ShiftProtocol):
    """A window of the network's input size inside an image that is larger by ``margin``.

    The images of a data set have the network's input size H×W; each is first enlarged (bicubic) to
    (H + margin)×(W + margin). Of photographs (``data=imagenet``), the whole central square is
    decoded at that size instead. (dy, dx) is the offset of the content: the window itself moves by
    (−dy, −dx). Source: Zhang 2019 (arXiv 1904.11486), 224 px windows of 256 px images; Azulay &
    Weiss 2019 (arXiv 1805.12177).

    Args:
        margin: Pixels by which the image exceeds the window along each axis; None is a seventh of
            the shorter side, which gives 256 px for 224 px.
        end: Whether the last position, with the window's corner at ``margin``, is tested; the
            published scripts omit it.
        base: Position of the base view's corner: ``centre``, ⌊margin/2⌋, or ``before_centre``,
            ⌊(margin − 1)/2⌋ as in Azulay & Weiss's script, one pixel less if ``margin`` is even.
        sampling: Which of the offsets are tested.
    """

    margin: int | None = None
    end: bool = True
    base: str = "centre"
    sampling: PeerSampling = field(default=PeerSampling())

    def __post_init__(self) -> None:
        require_one_of("shift.crop.base", self.base, BASES)

    def plan(self, n_images: int, image_size: tuple[int, int]) -> Plan:
        """Return the shifts under which every image is tested."""
        margin = self._margin(image_size)
        base = base_corner(self.base, margin)
        content = range(base - margin + (not self.end), base + 1)
        return self.sampling.plan(n_images, box(content, content), "crop")

    def views(self, split: ShownSplit, index: Tensor, shifts: Tensor) -> Tensor:
        """Return the windows of images ``index``, moved by −``shifts``, ``(N, C, H, W)``."""
        size = split.image_size
        base = base_corner(self.base, self._margin(size))
        [larger] = self.source_sizes(size)
        images = split.pixels(index, larger, "bicubic")
        return windows(images, base - shifts.to(torch.long), size)

    def source_sizes(self, image_size: tuple[int, int]) -> list[tuple[int, int]]:
        """Return the size of the images from which windows of ``image_size`` are cut."""
        margin = self._margin(image_size)
        return [(image_size[0] + margin, image_size[1] + margin)]

    def _margin(self, image_size: tuple[int, int]) -> int:
        shorter = min(image_size)
        margin = max(1, round(shorter / 7)) if self.margin is None else self.margin
        if margin != int(margin) or not 1 <= margin <= shorter:
            raise UsageError(
                f"shift.crop.margin={self.margin} does not fit images of "
                f"{image_size[0]}×{image_size[1]}; allowed: 1 to {shorter}, or null for a seventh"
            )
        return int(margin)
