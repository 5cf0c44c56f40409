"""Training a convolution on a small torus in the frequency domain: fewer products than taps.

On a map of P positions that wraps around, a 3×3 convolution takes 9·P products for each pair of
channels. Its Fourier transform has P real numbers, and mixing the channels at every frequency takes
about 2·P products, forward and for both gradients. For all channels together the transforms
themselves are two small matrix products. What comes out is the convolution up to rounding.

Only training goes this way: a trained network is measured by plain convolutions.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from shiftbench.ops.autocast import computed_in
from shiftbench.ops.fourier import basis, frequencies, waves

# Positions of a map, and from how many items · in_chans · out_chans on it pays up to that size:
# what it saves are products of channels, and the transforms take P² for each channel. Measured by
# benchmarks/small_maps.py.
PAYS_FROM = {16: 2**18, 64: 2**20}


def pays(x: Tensor, weight: Tensor) -> bool:
    """Whether training ``weight`` on maps like ``x`` is faster in the frequency domain.

    Args:
        x: ``(N, in_chans, H, W)``.
        weight: ``(out_chans, in_chans, kh, kw)``.
    """
    if x.device.type != "cpu":
        return False
    positions, products = x.shape[2] * x.shape[3], len(x) * weight.shape[0] * weight.shape[1]
    return any(positions <= most and products >= least for most, least in PAYS_FROM.items())


def conv2d(x: Tensor, weight: Tensor) -> Tensor:
    """Convolve on a torus, ``(N, in_chans, H, W) -> (N, out_chans, H, W)``.

    The same numbers as ``F.conv2d`` of ``x`` with circular padding by half a kernel, up to
    rounding. Under autocast it computes in that type, as ``F.conv2d`` does.

    Args:
        x: The maps, of any size.
        weight: ``(out_chans, in_chans, kh, kw)``, kernel sizes odd.
    """
    x = x.to(computed_in(x))
    convolved: Tensor = _Convolution.apply(x, weight)
    return convolved


class _Transforms(NamedTuple):
    """Matrices of one size of maps and kernels.

    Attributes:
        analysis: From a map to its spectrum, ``(P, P)``: cosines and sines, entries up to 1, so
            that those of maps of 1, 2 and 4 pixels are whole numbers, exact in bfloat16.
        synthesis: The way back.
        response: From a kernel to its spectrum, ``(P, kh·kw)``; in float32 at least.
        own: How many frequencies come first that are their own conjugates; real and imaginary part
            of the others follow in turn.
    """

    analysis: Tensor
    synthesis: Tensor
    response: Tensor
    own: int


@lru_cache(maxsize=64)
def _transforms(size: tuple[int, int], kernel: tuple[int, int], dtype: torch.dtype) -> _Transforms:
    own = len(frequencies(size)[0])
    positions = size[0] * size[1]
    scale = torch.full((positions, 1), math.sqrt(positions / 2)).double()
    scale[:own] = math.sqrt(positions)
    orthonormal = basis(size)
    response = waves(size, *(torch.arange(taps) - taps // 2 for taps in kernel))
    return _Transforms(
        (orthonormal * scale).to(dtype),
        (orthonormal / scale).T.contiguous().to(dtype),
        response.to(torch.promote_types(dtype, torch.float32)),
        own,
    )


class _Convolution(torch.autograd.Function):
    """The convolution and its gradients, each one product per frequency."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        size, kernel = _sides(x), _sides(weight)
        analysis, synthesis, response, own = _transforms(size, kernel, x.dtype)
        with torch.autocast(x.device.type, enabled=False):
            maps = _transformed(analysis, _positions_first(x))
            kernels = _positions_first(weight.to(response.dtype))
            filters = _transformed(response, kernels).to(x.dtype)
            mixed = _products(maps, filters.mT, own, 1)
            y = _transformed(synthesis, mixed)
        ctx.save_for_backward(maps, filters)
        ctx.of = size, kernel, weight.dtype
        return _channels_last(y, size)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        maps, filters = ctx.saved_tensors
        size, kernel, dtype = ctx.of
        analysis, synthesis, response, own = _transforms(size, kernel, maps.dtype)
        with torch.autocast(maps.device.type, enabled=False):
            pull = _transformed(synthesis.T, _positions_first(gradients[0].to(maps.dtype)))
            to_maps = _transformed(analysis.T, _products(pull, filters, own, -1))
            to_filters = _products(pull.mT, maps, own, -1).to(response.dtype)
            to_weight = _transformed(response.T, to_filters).to(dtype)
        to_weight = to_weight.view(*kernel, *to_weight.shape[1:]).permute(2, 3, 0, 1)
        return _channels_last(to_maps, size), to_weight


def _products(a: Tensor, b: Tensor, own: int, sign: int) -> Tensor:
    """Multiply the matrices of every frequency, ``(P, L, M)`` by ``(P, M, N)``.

    Real ones first, then complex ones, real and imaginary part in turn. With ``sign`` −1 it is the
    conjugate of ``b`` that ``a`` is multiplied by.
    """
    out = a.new_empty(len(a), a.shape[1], b.shape[2])
    torch.bmm(a[:own], b[:own], out=out[:own])
    if own < len(a):
        (a_real, a_imag), (b_real, b_imag), (real, imag) = (
            (one[own::2], one[own + 1 :: 2]) for one in (a, b, out)
        )
        torch.bmm(a_real, b_real, out=real).baddbmm_(a_imag, b_imag, alpha=-sign)
        torch.bmm(a_imag, b_real, out=imag).baddbmm_(a_real, b_imag, alpha=sign)
    return out


def _transformed(matrix: Tensor, x: Tensor) -> Tensor:
    """Apply a matrix to the first axis of ``x: (P, A, B)``."""
    flat: Tensor = matrix @ x.reshape(len(x), -1)
    return flat.view(-1, *x.shape[1:])


def _positions_first(x: Tensor) -> Tensor:
    """Return ``x: (A, B, H, W)`` as ``(H·W, A, B)``."""
    return x.permute(2, 3, 0, 1).reshape(-1, *x.shape[:2])


def _channels_last(y: Tensor, size: tuple[int, int]) -> Tensor:
    """Return ``y: (H·W, N, C)`` as ``(N, C, H, W)``, channels side by side in memory."""
    maps = y.view(*size, *y.shape[1:]).permute(2, 3, 0, 1)
    return maps.contiguous(memory_format=torch.channels_last)


def _sides(x: Tensor) -> tuple[int, int]:
    return int(x.shape[2]), int(x.shape[3])
