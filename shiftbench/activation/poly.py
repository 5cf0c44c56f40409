"""The alias-free polynomial activation (Michaeli et al., arXiv 2303.08085, sec. 3.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from shiftbench.activation.base import Activation
from shiftbench.activation.oversampled import oversampled, require_torus
from shiftbench.errors import require_within

# From the released code; nearly the least-squares parabola of GELU between −1.4 and 1.4.
GELU_PARABOLA = (0.0169394634, 0.5, 0.3078363964)
# A square has twice the highest frequency of its argument. On a grid 3/2 as fine, what exceeds that
# grid folds back onto frequencies that the filter behind removes (the 3/2-rule).
FACTOR = 1.5


class Polynomial(Activation):
    """B·(c₀ + c₁(Ax) + c₂(Ax)²) of an oversampled feature map, filtered and sampled again.

    ``x: (N, C, H, W) -> (N, C, H, W)`` on a torus. It commutes with every circular shift, whole or
    fractional, to rounding. A, B and, for each channel, c are trained. Squares grow from layer to
    layer without a norm in between, and so they do behind a BatchNorm that has seen no images:
    before any training, use scales of 1. A run's ``macs`` do not include the Fourier transforms.

    Args:
        channels: Channels of ``x``.
        padding: The network's padding.
        in_scale: Initial A, 0.01 to 100; 7 as published.
        out_scale: Initial B, likewise.

    Raises:
        UsageError: If ``padding`` is not ``circular``, or a scale is out of range.
    """

    needs_norm = True

    def __init__(
        self,
        channels: int,
        padding: str = "zeros",
        in_scale: float = 7.0,
        out_scale: float = 7.0,
    ) -> None:
        super().__init__()
        require_torus("poly", padding)
        require_within("activation.in_scale", in_scale, 0.01, 100)
        require_within("activation.out_scale", out_scale, 0.01, 100)
        self.in_scale = nn.Parameter(torch.tensor(float(in_scale)))
        self.out_scale = nn.Parameter(torch.tensor(float(out_scale)))
        start = torch.tensor(GELU_PARABOLA)[:, None, None, None]
        self.coefficients = nn.Parameter(start.repeat(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return the filtered polynomial."""
        return oversampled(x, self._polynomial, FACTOR)

    def _polynomial(self, x: Tensor) -> Tensor:
        constant, linear, square = self.coefficients
        scaled = self.in_scale * x
        values: Tensor = self.out_scale * (constant + scaled * (linear + scaled * square))
        return values
