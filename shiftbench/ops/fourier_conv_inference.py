"""Convolution on a small torus as a product in the frequency domain.

The last layers of the dense engine have many small maps: 64 of 4×4 for every image after three
steps of stride 2. There a 3×3 convolution is cheaper as one matrix product per frequency, with the
same result up to rounding.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from shiftbench.ops.fourier import basis, frequencies, waves

LARGEST_MAP = 64  # positions; on larger maps the transform costs more than it saves
FEWEST_PRODUCTS = 2048  # in_chans · out_chans, for the same reason
ITEMS_AT_ONCE = 512  # few enough that intermediate results stay in the cache


def worth_it(x: Tensor, weight: Tensor) -> bool:
    """Whether a dense convolution of ``x`` by ``weight`` is cheaper in the frequency domain."""
    return (
        x.device.type == "cpu"
        and not torch.is_autocast_enabled("cpu")  # which would round its products
        and x.dtype == weight.dtype == torch.float32
        and x.shape[2] * x.shape[3] <= LARGEST_MAP
        and weight.shape[0] * weight.shape[1] >= FEWEST_PRODUCTS
    )


class SpectralConv:
    """A convolution on a torus of one size, with its precomputed spectrum.

    Args:
        weight: ``(out_chans, in_chans, kh, kw)``.
        bias: ``(out_chans,)`` or None.
        size: ``(h, w)`` of the maps.
        before: Pixels (rows, columns) that the window reaches back.
        dilation: Steps (rows, columns) between the window's samples.
    """

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None,
        size: tuple[int, int],
        before: tuple[int, int],
        dilation: tuple[int, int],
    ) -> None:
        self.size = size
        # a constant on the map is its lowest frequency only
        self.constant = None if bias is None else bias * math.sqrt(size[0] * size[1])
        self.basis = basis(size).float()
        self.inverse = self.basis.T.contiguous()
        reach = [
            torch.arange(taps) * step - back
            for taps, step, back in zip(weight.shape[2:], dilation, before, strict=True)
        ]
        own = len(frequencies(size)[0])
        spectrum = torch.einsum("oit,ft->fio", weight.double().flatten(2), waves(size, *reach))
        self.own = list(spectrum[:own].float())
        self.pairs = list(map(_as_real, spectrum[own::2], spectrum[own + 1 :: 2]))

    def __call__(self, x: Tensor) -> Tensor:
        """Return the convolution, ``(B, in_chans, h, w) -> (B, out_chans, h, w)``."""
        height, width = self.size
        chans = self.own[0].shape[1]
        flat = x.permute(0, 2, 3, 1).reshape(len(x), height * width, -1)
        out = flat.new_empty(len(x), height * width, chans)
        for start in range(0, len(x), ITEMS_AT_ONCE):
            part = slice(start, start + ITEMS_AT_ONCE)
            torch.matmul(self.inverse, self._products(self.basis @ flat[part]), out=out[part])
        return out.view(len(x), height, width, chans).permute(0, 3, 1, 2)

    def _products(self, spectrum: Tensor) -> Tensor:
        """Mix the channels of every frequency, ``(B, h·w, in_chans) -> (B, h·w, out_chans)``."""
        count, own = len(spectrum), len(self.own)
        out = spectrum.new_empty(count, spectrum.shape[1], self.own[0].shape[1])
        for index, weight in enumerate(self.own):
            torch.mm(spectrum[:, index], weight, out=out[:, index])
        if self.constant is not None:
            out[:, 0] += self.constant
        if self.pairs:
            # cosine and sine of one frequency are adjacent: one row of twice the channels
            cos_sin = spectrum[:, own:].view(count, len(self.pairs), -1)
            mixed = out[:, own:].view(count, len(self.pairs), -1)
            for index, weight in enumerate(self.pairs):
                torch.mm(cos_sin[:, index], weight, out=mixed[:, index])
        return out


def _as_real(real: Tensor, imaginary: Tensor) -> Tensor:
    """Return complex channel mixing as a real matrix ``(2·in_chans, 2·out_chans)``."""
    above = torch.cat([real, imaginary], dim=1)
    below = torch.cat([-imaginary, real], dim=1)
    return torch.cat([above, below]).float()
