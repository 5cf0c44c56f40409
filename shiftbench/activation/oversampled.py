"""Functions of the values between the samples of a feature map on a torus."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor

from shiftbench.errors import UsageError
from shiftbench.ops.autocast import at_least_single
from shiftbench.ops.low_pass import low_pass


def oversampled(x: Tensor, function: Callable[[Tensor], Tensor], factor: float) -> Tensor:
    """Apply ``function`` on a grid ``factor`` times as fine, and keep what the grid of ``x`` can.

    ``x: (N, C, H, W) -> (N, C, H, W)``. Both filters are ideal, and remove the Nyquist frequency
    of even sizes, where samples have no phase.

    Args:
        x: The feature maps.
        function: Acts on every value by itself.
        factor: At least 1; the finer grid has ceil(factor · H) rows.
    """
    size = (x.shape[2], x.shape[3])
    finer = (math.ceil(factor * size[0]), math.ceil(factor * size[1]))
    values = function(low_pass(at_least_single(x), size, finer))
    return low_pass(values, size, size).to(x.dtype)


def require_torus(activation: str, padding: str) -> None:
    """Refuse feature maps that are not periodic.

    Raises:
        UsageError: If ``padding`` is not ``circular``.
    """
    if padding != "circular":
        raise UsageError(
            f"activation={activation} needs circular borders, got padding={padding}; "
            "add padding=circular"
        )
