"""Circular shifts: what leaves at one side enters at the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from shiftbench.errors import UsageError
from shiftbench.ops.geometry import translate
from shiftbench.shift.plan import Grid, Plan, Sampling, span, square, torus
from shiftbench.shift.values import ends


@dataclass(frozen=True)
class Circular:
    """``torch.roll`` by (dy, dx), every offset of the image (Chaman & Dokmanić, arXiv 2011.14214).

    No pixel is lost, so a difference in the answer is the network's alone. It flatters networks
    with circular padding; see ``translate`` and ``crop`` for shifts that a camera makes.

    Args:
        max_shift: Largest offset per axis in pixels, ends included; None for every offset.
        sampling: See :class:`~shiftbench.shift.plan.Sampling`, as the fields below.
        offsets: First and last offset per axis in pixels, ends included, instead of
            ±``max_shift``; where 0 is not between them, the base view is not one of the set.
        peer: Whose draws ``sampling=peer`` replays.
        batch: Images that share such a draw; None is the published number.
    """

    max_shift: int | None = None
    sampling: str = "auto"
    draws: int = 32
    steps: int = 8
    seed: int = 0
    path: str = "diagonal"
    offsets: Sequence[int] | None = None
    peer: str | None = None
    batch: int | None = None
    axes = ("dy", "dx")
    circular = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "offsets", ends("shift.circular.offsets", self.offsets))

    def plan(self, n_images: int, image_size: tuple[int, int]) -> Plan:
        """Return which shifts every image is shown."""
        picker = Sampling(
            self.sampling, self.draws, self.steps, self.seed, self.path, self.peer, self.batch
        )
        return picker.plan(n_images, self._grid(image_size), "circular")

    def _grid(self, image_size: tuple[int, int]) -> Grid:
        height, width = image_size
        if self.offsets is not None:
            first, last = self.offsets
            if last - first >= min(image_size) or max(-first, last) > min(image_size):
                raise UsageError(
                    f"shift.circular.offsets=[{first},{last}] does not fit images of "
                    f"{height}×{width}; allowed: at most {min(image_size)} offsets, none beyond it"
                )
            return span((first, last))
        if self.max_shift is None:
            return torus(image_size)
        if not 0 < self.max_shift <= (min(image_size) - 1) // 2:
            raise UsageError(
                f"shift.circular.max_shift={self.max_shift} does not fit images of "
                f"{height}×{width}; allowed: 1 to {(min(image_size) - 1) // 2}, or null for all"
            )
        return square(self.max_shift)

    def views(self, images: Tensor, shifts: Tensor, mean: Sequence[float] | None = None) -> Tensor:
        """Return image n rolled by ``shifts[n]``; ``(N, C, H, W) -> (N, C, H, W)``."""
        return translate(images, shifts, "circular")
