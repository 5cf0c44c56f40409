"""RICS: the response of a fixed filter selects the crop, or the roll, of each view."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from shiftbench.errors import UsageError, require_one_of, require_within
from shiftbench.infer.base import Infer
from shiftbench.infer.moved import Moved, channel_sum
from shiftbench.ops.geometry import translate, windows
from shiftbench.seeds import derive_seed

BLOB, RANDOM = "blob", "random"


@dataclass(frozen=True)
class CropSelection(Infer):
    """Robust inference by crop selection (Shifman & Weiss, ECCV 2024, arXiv 2404.07153).

    The place at which a fixed filter responds most strongly (largest absolute value) becomes the
    middle of the view. Without ``crop`` the view is rolled there: exactly invariant to circular
    shifts by whole pixels for any network, unless two places respond equally. With ``crop``, a
    window of that size around it is classified, the place being the strongest whose window and
    whose filter lie inside the view: two views of a scene give the same window unless the strongest
    place enters or leaves. One forward pass and a convolution of one channel, which is not counted.
    The published filter was not read; compare several.

    Args:
        filter: ``blob``, a difference of two Gaussians, or ``random``, normal weights; both sum
            to 0.
        filter_size: Its side in pixels, odd.
        crop: Side of the window in pixels; None to roll the whole view.
        seed: Seed of random weights.

    Raises:
        UsageError: If a value is out of range.
    """

    filter: str = BLOB
    filter_size: int = 9
    crop: int | None = None
    seed: int = 0
    moves_by_content = True

    def __post_init__(self) -> None:
        require_one_of("infer.filter", self.filter, (BLOB, RANDOM))
        require_within("infer.filter_size", self.filter_size, 3, 99)
        if self.filter_size % 2 == 0:
            raise UsageError(
                f"infer.filter_size={self.filter_size} is even, so it has no middle; "
                f"give {self.filter_size + 1}"
            )
        if self.crop is not None:
            require_within("infer.crop", self.crop, 1, 65_536)

    def wrap(self, network: nn.Module, stride: int) -> nn.Module:
        """Return the network of rolled views or of windows."""
        taps = self.taps()
        if self.crop is None:
            return Moved(network, partial(_rolled, taps=taps))
        return Moved(network, partial(_cropped, taps=taps, side=self.crop))

    def taps(self) -> Tensor:
        """Return the filter, ``(filter_size, filter_size)`` in float64, with sum 0."""
        size = self.filter_size
        if self.filter == RANDOM:
            generator = torch.Generator().manual_seed(derive_seed(self.seed, "infer-filter"))
            taps = torch.randn(size, size, generator=generator, dtype=torch.float64)
        else:
            taps = _gaussian(size, size / 8) - _gaussian(size, size / 4)
        return taps - taps.mean()


def _gaussian(size: int, sigma: float) -> Tensor:
    """Return a Gaussian ``(size, size)`` with sum 1."""
    line = torch.exp(-((torch.arange(size, dtype=torch.float64) - size // 2) ** 2) / 2 / sigma**2)
    square = torch.outer(line, line)
    return square / square.sum()


def response(x: Tensor, taps: Tensor) -> Tensor:
    """Return the absolute response of the filter at every place on the torus, ``(N, H, W)``.

    Taps are added one after the other, so that a rolled view has the rolled response to the last
    bit.
    """
    summed, reach = channel_sum(x), len(taps) // 2
    found = torch.zeros_like(summed)
    for row, line in enumerate(taps.tolist()):
        for column, weight in enumerate(line):
            found = found + weight * summed.roll((reach - row, reach - column), (1, 2))
    return found.abs()


def _strongest(strength: Tensor) -> Tensor:
    """Return the place (y, x) of the largest value of ``strength (N, H, W)``, ``(N, 2)``."""
    place = strength.flatten(1).argmax(dim=1)
    width = strength.shape[2]
    return torch.stack([place // width, place % width], dim=1)


def _rolled(x: Tensor, taps: Tensor) -> Tensor:
    middle = torch.tensor([x.shape[2] // 2, x.shape[3] // 2], device=x.device)
    return translate(x, middle - _strongest(response(x, taps)), "circular")


def _cropped(x: Tensor, taps: Tensor, side: int) -> Tensor:
    """Return the window of each view around its strongest place.

    Raises:
        UsageError: If the window or the filter is larger than the view.
    """
    size = (int(x.shape[2]), int(x.shape[3]))
    before, reach = side // 2, len(taps) // 2
    # Of the windows inside the view, those whose place has the whole filter inside.
    first = max(before, reach)
    last = [min(end - (side - before), end - 1 - reach) for end in size]
    if min(last) < first:
        raise UsageError(
            f"infer.crop={side} and infer.filter_size={len(taps)} leave no place in views of "
            f"{size[0]}×{size[1]}; give a smaller infer.crop"
        )
    inside = response(x, taps)[:, first : last[0] + 1, first : last[1] + 1]
    corners = _strongest(inside) + (first - before)
    return windows(x, corners, (side, side))
