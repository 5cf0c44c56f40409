"""The Gaussian error linear unit (Hendrycks & Gimpel, arXiv 1606.08415)."""

from __future__ import annotations

from torch import nn

from shiftbench.activation.base import Activation


class GELU(nn.GELU, Activation):
    """x Φ(x), with the Gaussian distribution function Φ.

    ``x: (N, C, H, W) -> (N, C, H, W)``. Smoother than a ReLU, it aliases less.
    """

    def __init__(self, channels: int, padding: str = "zeros") -> None:
        super().__init__()
