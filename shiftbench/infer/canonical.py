"""Views rolled to a canonical position, the phase of their first Fourier coefficient."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from shiftbench.infer.base import Infer
from shiftbench.infer.moved import Moved, channel_sum
from shiftbench.ops.geometry import translate

# Rounding is not at ½: the position of symmetric content is a multiple of ½ px, and noise of
# floating point would round it up or down.
ROUNDING = 0.5 + 1 / 64
VANISHES = 1e-9  # a coefficient below this share of the largest possible one has no phase


@dataclass(frozen=True)
class Canonical(Infer):
    """Roll by whole pixels so that the phase of the first Fourier coefficient is in the centre.

    Along each axis, the phase of the first coefficient of the sum over channels is a position on
    the torus that moves with the content, e.g. to the middle of a bright object. It is rolled to
    the middle of the view, to within half a pixel. Exactly invariant to circular shifts by whole
    pixels for any network, except where the coefficient vanishes: an axis without a phase is left
    as it is. One forward pass. Canonicalisation: Kaba et al. 2023 (arXiv 2211.06489); it may move
    views away from the training distribution (Mondal et al. 2023).
    """

    moves_by_content = True

    def wrap(self, network: nn.Module, stride: int) -> nn.Module:
        """Return the network of rolled views."""
        return Moved(network, to_centre)


def to_centre(x: Tensor) -> Tensor:
    """Return views ``(N, C, H, W)`` rolled to their canonical position."""
    summed = channel_sum(x)
    offsets = [
        size // 2 - _position(summed.sum(dim=other), size)
        for other, size in ((2, x.shape[2]), (1, x.shape[3]))
    ]
    return translate(x, torch.stack(offsets, dim=1), "circular")


def _position(profile: Tensor, size: int) -> Tensor:
    """Return the position ``(N,)`` of the first Fourier coefficient of ``profile (N, size)``."""
    angle = 2 * math.pi * torch.arange(size, device=profile.device, dtype=profile.dtype) / size
    real, imaginary = profile @ angle.cos(), profile @ angle.sin()
    position = (torch.atan2(imaginary, real) * size / (2 * math.pi) + ROUNDING).floor().long()
    vanishes = torch.hypot(real, imaginary) <= VANISHES * profile.abs().sum(1)
    return torch.where(vanishes, size // 2, position)
