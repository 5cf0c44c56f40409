"""Strips of shifted views, for figures."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from shiftbench.data.shown import ShownSplit
from shiftbench.ops.geometry import to_unit
from shiftbench.predict.one_size import views_at_one_size
from shiftbench.shift.base import ShiftProtocol


def strips(
    split: ShownSplit,
    protocol: ShiftProtocol,
    images: Iterable[int],
    shifts: ArrayLike,
) -> dict[int, NDArray[np.uint8]]:
    """Return the views of the given images under the given shifts, as pixels.

    Args:
        split: The test images.
        protocol: The shift protocol.
        images: Indices into ``split``.
        shifts: ``(V, A)``, the same for every image.

    Returns:
        For every index, the views ``(V, H, W, C)``, uint8 in 0..255.
    """
    protocol.check(split)
    moves = torch.as_tensor(np.asarray(shifts, dtype=np.float32))
    images_of = {}
    for index in images:
        views = views_at_one_size(protocol, split, torch.full((len(moves),), int(index)), moves)
        unit = to_unit(views).clamp(0, 1).mul(255).round()
        images_of[int(index)] = unit.byte().permute(0, 2, 3, 1).cpu().numpy()
    return images_of
