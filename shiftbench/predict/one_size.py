"""Views of several sizes in one tensor, for figures."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from shiftbench.data.shown import ShownSplit
from shiftbench.ops.geometry import to_unit
from shiftbench.shift.base import ShiftProtocol


def views_at_one_size(
    protocol: ShiftProtocol, split: ShownSplit, index: Tensor, shifts: Tensor
) -> Tensor:
    """Return the views of a protocol; pixels of those of other sizes are repeated or left out.

    Args:
        protocol: The shift protocol.
        split: The images.
        index: ``(N,)`` positions.
        shifts: ``(N, A)``.

    Returns:
        ``(N, C, h, w)``, as of :meth:`ShiftProtocol.views`; of the images' size and in 0..1 if the
        protocol has views of several sizes.
    """
    groups = protocol.size_groups(shifts)
    if groups is None:
        return protocol.views(split, index, shifts)
    views = [
        F.interpolate(
            to_unit(protocol.views(split, index[n : n + 1], shifts[n : n + 1])),
            split.image_size, mode="nearest-exact",
        )
        for n in range(len(index))
    ]  # fmt: skip
    return torch.cat(views)
