"""Windows of a larger image: real pixels enter, none is made up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from shiftbench.errors import UsageError, require_one_of
from shiftbench.ops.geometry import resize, windows
from shiftbench.shift.plan import Plan, Sampling, box
from shiftbench.shift.values import BASES, base_corner


@dataclass(frozen=True)
class Crop:
    """A window of the network's input size inside an image that is larger by ``margin``.

    The images of a data set have the network's input size H×W, so each is first enlarged (bicubic)
    to (H + margin)×(W + margin); of photographs (``data=imagenet``) the whole centre square is
    decoded at that size instead. (dy, dx) is how far the content moves: the window itself moves by
    (−dy, −dx). Source: Zhang 2019 (arXiv 1904.11486), 224 px windows of 256 px images; Azulay &
    Weiss 2019 (arXiv 1805.12177).

    Args:
        margin: Pixels by which the image is larger, both sides together; None is a seventh of the
            shorter side, as from 224 to 256.
        end: Whether the last position, window corner at ``margin``, is one of the set; published
            loops leave it out.
        base: Where the base view's corner is: ``centre``, ⌊margin/2⌋, or ``before_centre``,
            ⌊(margin − 1)/2⌋ as in Azulay & Weiss's script, a pixel less where ``margin`` is even.
        sampling: See :class:`~shiftbench.shift.plan.Sampling`, as the fields below.
        peer: Whose draws ``sampling=peer`` replays.
        batch: Images that share such a draw; None is the published number.
    """

    margin: int | None = None
    end: bool = True
    base: str = "centre"
    sampling: str = "auto"
    draws: int = 32
    steps: int = 8
    seed: int = 0
    path: str = "diagonal"
    peer: str | None = None
    batch: int | None = None
    axes = ("dy", "dx")

    def __post_init__(self) -> None:
        require_one_of("shift.crop.base", self.base, BASES)

    def plan(self, n_images: int, image_size: tuple[int, int]) -> Plan:
        """Return which shifts every image is shown."""
        margin = self._margin(image_size)
        base = base_corner(self.base, margin)
        content = range(base - margin + (not self.end), base + 1)
        picker = Sampling(
            self.sampling, self.draws, self.steps, self.seed, self.path, self.peer, self.batch
        )
        return picker.plan(n_images, box(content, content), "crop")

    def views(self, images: Tensor, shifts: Tensor, mean: Sequence[float] | None = None) -> Tensor:
        """Return the window of image n moved by −``shifts[n]``; ``(N, C, H, W)`` in and out."""
        size = (images.shape[-2], images.shape[-1])
        [larger] = self.source_sizes(size)
        return self.views_of_sources([resize(images, larger, "bicubic")], shifts, size, mean)

    def source_sizes(self, image_size: tuple[int, int]) -> list[tuple[int, int]]:
        """Return the size of the images that windows of ``image_size`` are cut from."""
        margin = self._margin(image_size)
        return [(image_size[0] + margin, image_size[1] + margin)]

    def views_of_sources(
        self,
        sources: Sequence[Tensor],
        shifts: Tensor,
        image_size: tuple[int, int],
        mean: Sequence[float] | None = None,
    ) -> Tensor:
        """Return the windows of images that have the one size of :meth:`source_sizes`."""
        base = base_corner(self.base, self._margin(image_size))
        return windows(sources[0], base - shifts.to(torch.long), image_size)

    def _margin(self, image_size: tuple[int, int]) -> int:
        shorter = min(image_size)
        margin = max(1, round(shorter / 7)) if self.margin is None else self.margin
        if margin != int(margin) or not 1 <= margin <= shorter:
            raise UsageError(
                f"shift.crop.margin={self.margin} does not fit images of "
                f"{image_size[0]}×{image_size[1]}; allowed: 1 to {shorter}, or null for a seventh"
            )
        return int(margin)
