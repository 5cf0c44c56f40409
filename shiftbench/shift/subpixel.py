"""Circular shifts by fractions of a pixel, computed in the Fourier domain."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from shiftbench.ops.geometry import to_unit
from shiftbench.shift.base import ShiftProtocol
from shiftbench.shift.fraction import fractional_grid
from shiftbench.shift.plan import Plan
from shiftbench.shift.sampling import Sampling, takes_sampling
from shiftbench.shift.values import ends

if TYPE_CHECKING:
    from shiftbench.data.shown import ShownSplit


@takes_sampling
@dataclass(frozen=True)
class Subpixel(ShiftProtocol):
    """Circular shift of the band-limited interpolant of the image, resampled at the pixels.

    Integer offsets are equal to ``torch.roll``. On an axis of even size, the phase of the Nyquist
    frequency cannot be shifted: the part of the shifted component that a real image can represent
    is kept. Shifting back therefore restores all frequencies but that one. Values are **not**
    clipped to 0..1: the interpolant overshoots at edges, and with clipping the shift would depend
    on the content. Source: Michaeli et al. 2023 (arXiv 2303.08085), half-pixel shifts.

    Args:
        fraction: Step in pixels: 0.5, 0.25 or another 1/n.
        max_shift: Largest offset per axis in pixels, inclusive; the offsets are all multiples of
            ``fraction`` from −``max_shift`` to ``max_shift``.
        sampling: Which of the offsets are tested; one step of the path is a whole pixel.
        offsets: First and last offset per axis in pixels, instead of ±``max_shift``; the offsets
            increase from the first one in steps of ``fraction``. If 0 is not among them, the base
            view is not in the set of tested shifts.
    """

    fraction: float = 0.5
    max_shift: float = 2
    sampling: Sampling = field(default=Sampling())
    offsets: Sequence[float] | None = None

    def __post_init__(self) -> None:
        given = ends("shift.subpixel.offsets", self.offsets, whole=False)
        object.__setattr__(self, "offsets", given)

    def plan(self, n_images: int, image_size: tuple[int, int]) -> Plan:
        """Return the shifts under which every image is tested."""
        grid = fractional_grid(
            "shift.subpixel", self.fraction, self.max_shift, self.offsets, image_size
        )
        return self.sampling.plan(n_images, grid, "subpixel")

    def views(self, split: ShownSplit, index: Tensor, shifts: Tensor) -> Tensor:
        """Return image ``index[n]`` shifted by ``shifts[n]`` px.

        ``(N, C, H, W)`` float32; uint8 is scaled to 0..1, up to overshoot.
        """
        return fourier_shift(to_unit(split.pixels(index)), shifts)


def fourier_shift(images: Tensor, shifts: Tensor) -> Tensor:
    """Shift float images ``(N, C, H, W)`` circularly by ``shifts (N, 2)`` px, down and right."""
    height, width = images.shape[-2:]
    shifts = shifts.to(images.device, torch.float64)
    rows = _phase(torch.fft.fftfreq(height, 1 / height), height, shifts[:, 0])
    columns = _phase(torch.fft.rfftfreq(width, 1 / width), width, shifts[:, 1])
    spectrum = torch.fft.rfft2(images)
    turned = spectrum * (rows[:, None, :, None] * columns[:, None, None, :]).to(spectrum.dtype)
    moved: Tensor = torch.fft.irfft2(turned, s=(height, width))
    return moved.contiguous(memory_format=torch.channels_last)


def _phase(frequency: Tensor, size: int, shift: Tensor) -> Tensor:
    """Return ``(N, F)`` complex factors that shift an axis of ``size`` by ``shift (N,)`` px."""
    frequency = frequency.to(shift)
    angle = -2 * math.pi / size * shift[:, None] * frequency
    nyquist = 2 * frequency.abs() == size
    return torch.complex(angle.cos(), angle.sin().masked_fill(nyquist, 0))
