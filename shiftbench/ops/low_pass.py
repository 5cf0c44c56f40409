"""Ideal low-pass filters on a torus, with resampling, by Fourier transforms."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from shiftbench.ops.autocast import at_least_single

Size = tuple[int, int]


def low_pass(
    x: Tensor, carried: Size, samples: Size, taper: Callable[[Tensor], Tensor] | None = None
) -> Tensor:
    """Keep the frequencies that ``carried`` samples can represent; resample to ``samples``.

    ``x: (N, C, H, W) -> (N, C, *samples)``; the upper left samples of input and output coincide.
    The Nyquist frequency of an even number of samples is removed: samples have no phase there.

    Args:
        x: The feature maps.
        carried: Numbers of samples (rows, columns), spaced evenly on the torus, at most H×W.
        samples: The grid of the output, not smaller than ``carried``.
        taper: The response along an axis, as a function of the frequency in cycles per pixel of
            ``x``, 0 to ½; by default 1.
    """
    spectrum = torch.fft.rfft2(at_least_single(x), norm="forward")
    rows, columns = ((size - 1) // 2 for size in carried)  # highest frequencies that are kept
    kept = spectrum.new_zeros(*x.shape[:2], samples[0], samples[1] // 2 + 1)
    kept[:, :, : rows + 1, : columns + 1] = spectrum[:, :, : rows + 1, : columns + 1]
    if rows:
        kept[:, :, -rows:, : columns + 1] = spectrum[:, :, -rows:, : columns + 1]
    if taper is not None:
        kept = kept * _response(x, samples, taper)
    sampled: Tensor = torch.fft.irfft2(kept, s=samples, norm="forward")
    return sampled.to(x.dtype)


def _response(x: Tensor, samples: Size, taper: Callable[[Tensor], Tensor]) -> Tensor:
    """Return the response ``(h, w // 2 + 1)`` on the half spectrum of ``samples``."""
    dtype = at_least_single(x).dtype
    rows = torch.fft.fftfreq(samples[0], 1 / samples[0], dtype=dtype, device=x.device).abs()
    columns = torch.fft.rfftfreq(samples[1], 1 / samples[1], dtype=dtype, device=x.device)
    return taper(rows / x.shape[2])[:, None] * taper(columns / x.shape[3])


def one_sided_low_pass(x: Tensor, carried: Size, samples: Size) -> Tensor:
    """As :func:`low_pass`, but with the lowest of ``carried`` frequencies, as FLC pooling has it.

    Of m samples the frequencies −m/2 to m/2 − 1 are kept, the Nyquist frequency only with its
    negative sign, so that the result is complex; the real part is returned.
    """
    spectrum = torch.fft.fft2(at_least_single(x), norm="forward")
    kept = spectrum.new_zeros(*x.shape[:2], *samples)
    source = [
        _lowest(size, count, x.device) for size, count in zip(x.shape[2:], carried, strict=True)
    ]
    target = [_lowest(size, count, x.device) for size, count in zip(samples, carried, strict=True)]
    kept[:, :, target[0][:, None], target[1]] = spectrum[:, :, source[0][:, None], source[1]]
    sampled: Tensor = torch.fft.ifft2(kept, norm="forward").real
    return sampled.to(x.dtype)


def _lowest(size: int, count: int, device: torch.device) -> Tensor:
    """Return where a spectrum of ``size`` has the frequencies −count // 2 to (count − 1) // 2."""
    return torch.arange(-(count // 2), (count + 1) // 2, device=device) % size
