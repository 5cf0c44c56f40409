"""What autocast asks of layers that torch's own rules do not reach."""

from __future__ import annotations

import torch
from torch import Tensor


def computed_in(x: Tensor) -> torch.dtype:
    """Return the type to compute in: autocast's on the device of ``x``, else that of ``x``."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype


def at_least_single(x: Tensor) -> Tensor:
    """Return ``x`` in float32, or as it is if that is float64: for what half precision would blur.

    Of logits that lie close together, float32 would make equal ones; sums of squares likewise.
    """
    return x if x.dtype == torch.float64 else x.float()
