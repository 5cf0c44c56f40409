"""Polyphase anchoring: rolling each feature map to its strongest grid (Ding, arXiv 2306.07470).

A layer on a fixed grid of period p shifts its output by whole positions if its input is first
rolled so that the polyphase component with the largest l2 norm lies at phase 0: a circular shift
of the input moves that component, and the roll undoes it up to a multiple of p.
"""

from __future__ import annotations

import torch
from torch import Tensor

from shiftbench.errors import ShiftbenchError
from shiftbench.ops.autocast import at_least_single
from shiftbench.ops.geometry import translate

Pair = tuple[int, int]


@torch.no_grad()
def strongest_grid(x: Tensor, period: Pair) -> Tensor:
    """Return the phase (y, x) of the polyphase component with the largest l2 norm, ``(N, 2)``.

    Norms are over channels and positions; of equal ones, the first in row-major order.

    Args:
        x: ``(N, C, H, W)``.
        period: (rows, columns), each from 1 to the side of the map.

    Raises:
        ShiftbenchError: If the period does not divide the map.
    """
    rows, columns = period
    _require_whole(x, period)
    # The sum over positions has another order in a rolled map; in float64 this decides only
    # between norms that are equal to 15 digits.
    kind = torch.float32 if x.device.type == "mps" else torch.float64
    energy = torch.linalg.vector_norm(at_least_single(x), dim=1).to(kind).square()
    grids = energy.unflatten(2, (-1, columns)).unflatten(1, (-1, rows))
    largest = grids.sum((1, 3)).flatten(1).argmax(1)
    return torch.stack([largest // columns, largest % columns], 1)


def anchor(x: Tensor, period: Pair) -> Tensor:
    """Return every map rolled so that its strongest grid is at phase 0.

    ``x: (N, C, H, W) -> (N, C, H, W)``. Of a map of any circular shift, the result is the same up
    to a roll by multiples of the period; with the period of the whole map it is the same.

    Raises:
        ShiftbenchError: If the period does not divide the map.
    """
    return translate(x, -strongest_grid(x, period))


def _require_whole(x: Tensor, period: Pair) -> None:
    height, width = x.shape[2:]
    if height % period[0] or width % period[1]:
        raise ShiftbenchError(
            f"a map of {height}×{width} cannot be anchored to a period of "
            f"{period[0]}×{period[1]}, which does not divide it; give images of the size that "
            "the network was anchored for"
        )
