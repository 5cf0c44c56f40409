"""Data types under autocast for layers that torch's own rules do not cover."""

from __future__ import annotations

import torch
from torch import Tensor


def computed_in(x: Tensor) -> torch.dtype:
    """Return the dtype to compute in: autocast's on the device of ``x``, else that of ``x``."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype


def at_least_single(x: Tensor) -> Tensor:
    """Return ``x`` in float32, or unchanged in float64, where half precision is not sufficient.

    Float64 stays, since float32 would make close logits equal; the same holds for sums of squares.
    """
    return x if x.dtype == torch.float64 else x.float()
