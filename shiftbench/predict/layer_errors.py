"""Equivariance and invariance errors of one layer's output, for the layer probe."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.linalg import vector_norm


def differences(base: Tensor, moved: Tensor, shift: tuple[int, int], stride: int | None) -> Tensor:
    """Return the errors between an output and the shifted output of the unshifted image.

    Args:
        base: F(x), ``(N, C, h, w)`` or, with ``stride=None``, ``(N, ...)``.
        moved: F(T_d x), of the same shape.
        shift: d = (dy, dx) in pixels of the image.
        stride: Cumulative stride: pixels of the image per position of the feature map.

    Returns:
        ``(N, 3)``: equivariance error, cosine distance, invariance error; NaN where undefined.
    """
    if base.ndim != 4 or stride is None:
        empty = base.new_full((len(base),), torch.nan)
        return torch.stack([empty, empty, _relative(moved.flatten(1), base.flatten(1))], 1)
    base, moved = _channels_last(base), _channels_last(moved)
    error, aligned = _align(base, moved, shift, stride)
    equivariance = error / vector_norm(base, dim=(1, 2, 3))
    invariance = _relative(moved.mean((1, 2)), base.mean((1, 2)))
    return torch.stack([equivariance, _cosine_distance(moved, aligned), invariance], 1)


def _channels_last(maps: Tensor) -> Tensor:
    return maps.permute(0, 2, 3, 1).contiguous()


def _align(
    base: Tensor, moved: Tensor, shift: tuple[int, int], stride: int
) -> tuple[Tensor, Tensor]:
    """Return, per image, the distance of ``moved`` to the closest roll of ``base``; that roll."""
    whole = [sorted({offset // stride, -(-offset // stride)}) for offset in shift]
    first, *others = itertools.product(*whole)
    best = base.roll(first, (1, 2))
    error = vector_norm(moved - best, dim=(1, 2, 3))
    for offset in others:
        rolled = base.roll(offset, (1, 2))
        distance = vector_norm(moved - rolled, dim=(1, 2, 3))
        best = torch.where((distance < error)[:, None, None, None], rolled, best)
        error = torch.minimum(error, distance)
    return error, best


def _relative(moved: Tensor, base: Tensor) -> Tensor:
    relative: Tensor = vector_norm(moved - base, dim=1) / vector_norm(base, dim=1)
    return relative


def _cosine_distance(a: Tensor, b: Tensor) -> Tensor:
    """Return ``(N,)`` for two ``(N, h, w, C)``; positions where both are zero have distance 0."""
    length_a, length_b = vector_norm(a, dim=3), vector_norm(b, dim=3)
    # Not a matrix product or einsum, which autocast would compute in bfloat16.
    cosine = (a * b).sum(3) / (length_a * length_b).clamp_min(1e-30)
    both_zero = (length_a == 0) & (length_b == 0)
    return (1 - torch.where(both_zero, 1.0, cosine)).clamp_min(0).mean((1, 2))


def high_share(maps: Tensor, factor: int) -> Tensor:
    """Return ``(N,)``: the share of energy that aliases if ``maps (N, C, h, w)`` are subsampled.

    This is the energy at frequencies of 1/(2 · ``factor``) cycles per sample and above, on either
    axis: keeping every ``factor``-th sample aliases them to lower frequencies.
    """
    power = torch.fft.fft2(maps).abs().square().sum(1)
    limit = 0.5 / factor - 1e-9
    low = [torch.fft.fftfreq(side, device=maps.device).abs() < limit for side in maps.shape[2:]]
    kept = (power * (low[0][:, None] & low[1])).sum((1, 2))
    share: Tensor = 1 - kept / power.sum((1, 2))
    return share


def finite_mean(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Return the mean over the finite numbers along ``axis``, NaN if there are none."""
    finite = np.isfinite(values)
    count = finite.sum(axis)
    total = np.where(finite, values, 0.0).sum(axis)
    mean: NDArray[np.float64] = np.full(total.shape, np.nan)
    np.divide(total, count, out=mean, where=count > 0)
    return mean
