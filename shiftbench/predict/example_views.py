"""Example views of a protocol, as arrays for a figure."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shiftbench.data.shown import ShownSplit
from shiftbench.ops.geometry import to_unit
from shiftbench.predict.one_size import views_at_one_size
from shiftbench.predict.protocol import plan_for
from shiftbench.shift.base import ShiftProtocol


def example_views(
    split: ShownSplit,
    protocol: ShiftProtocol,
    count: int = 4,
) -> dict[str, NDArray[Any]]:
    """Return the base view and a shifted view of the first images of ``split``.

    Args:
        split: The images.
        protocol: The shift protocol.
        count: Number of images.

    Returns:
        ``base`` and ``moved``, ``(count, H, W, C)`` float32 in 0..1, and the shift of each,
        ``shifts (count, A)``, spread over the set of shifts.

    Raises:
        UsageError: If the protocol does not apply to this split.
    """
    protocol.check(split)
    index = torch.arange(min(count, len(split)))
    shifts = plan_for(protocol, split, len(index)).rows(0, len(index))
    moves = _spread(shifts)
    return {
        "base": _array(views_at_one_size(protocol, split, index, shifts[:, 0])),
        "moved": _array(views_at_one_size(protocol, split, index, moves)),
        "shifts": moves.cpu().numpy().astype(np.float32),
    }


def _spread(shifts: Tensor) -> Tensor:
    """Return one of ``shifts (N, K, A)`` for each image, ``(N, A)``, spread over the set."""
    count, columns = shifts.shape[:2]
    chosen = torch.linspace(1, columns - 1, count + 1)[1:].round().long()
    return shifts[torch.arange(count), chosen]


def _array(views: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = to_unit(views).cpu().permute(0, 2, 3, 1).numpy()
    return array
