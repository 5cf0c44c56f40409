"""Circular shifts by parts of a pixel, through the Fourier domain."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from shiftbench.ops.geometry import to_unit
from shiftbench.shift.fraction import fractional_grid
from shiftbench.shift.plan import Plan, Sampling
from shiftbench.shift.values import ends


@dataclass(frozen=True)
class Subpixel:
    """The band-limited image between the pixels, sampled elsewhere; it wraps around.

    Whole offsets are ``torch.roll``. On an axis of even size the Nyquist frequency has no phase to
    shift: of it the part that a real image can hold is kept, so that everything but that frequency
    comes back when the image is shifted back. Values are **not** clipped to 0..1: the curve between
    the pixels overshoots at edges, and clipping would make the shift depend on what is shown.
    Source: Michaeli et al. 2023 (arXiv 2303.08085), half-pixel shifts.

    Args:
        fraction: Step in pixels: 0.5, 0.25 or another 1/n.
        max_shift: Largest offset per axis in pixels, ends included; the set is every multiple of
            ``fraction`` from −``max_shift`` to it.
        sampling: See :class:`~shiftbench.shift.plan.Sampling`, as the fields below; one step of
            the path is a whole pixel.
        offsets: First and last offset per axis in pixels, instead of ±``max_shift``, with steps of
            ``fraction`` from the first one on; where 0 is none of them, the base view is not one
            of the set.
    """

    fraction: float = 0.5
    max_shift: float = 2
    sampling: str = "auto"
    draws: int = 32
    steps: int = 8
    seed: int = 0
    path: str = "diagonal"
    offsets: Sequence[float] | None = None
    axes = ("dy", "dx")

    def __post_init__(self) -> None:
        given = ends("shift.subpixel.offsets", self.offsets, whole=False)
        object.__setattr__(self, "offsets", given)

    def plan(self, n_images: int, image_size: tuple[int, int]) -> Plan:
        """Return which shifts every image is shown."""
        grid = fractional_grid(
            "shift.subpixel", self.fraction, self.max_shift, self.offsets, image_size
        )
        picker = Sampling(self.sampling, self.draws, self.steps, self.seed, self.path)
        return picker.plan(n_images, grid, "subpixel")

    def views(self, images: Tensor, shifts: Tensor, mean: Sequence[float] | None = None) -> Tensor:
        """Return image n shifted by ``shifts[n]`` px.

        ``(N, C, H, W) -> (N, C, H, W)`` float32; uint8 becomes 0..1, give or take an overshoot.
        """
        return fourier_shift(to_unit(images), shifts)


def fourier_shift(images: Tensor, shifts: Tensor) -> Tensor:
    """Shift float images ``(N, C, H, W)`` down and right by ``shifts (N, 2)`` px, around."""
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
