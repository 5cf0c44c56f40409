"""Equivariance and invariance errors of one layer's output, for the layer probe."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.linalg import vector_norm


class Reference:
    """The output F(x) of a layer for the unshifted images, with what all shifts need of it.

    Args:
        output: ``(N, C, h, w)`` or, with ``stride=None``, ``(N, ...)``.
        stride: Cumulative stride: pixels of the image per position of the feature map.
    """

    def __init__(self, output: Tensor, stride: int | None) -> None:
        self.shape, self.stride = output.shape, stride
        self.is_map = output.ndim == 4 and stride is not None
        self.maps = _channels_last(output) if self.is_map else output.flatten(1)
        self._rolled: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}
        if self.is_map:
            self.norm = vector_norm(self.maps, dim=(1, 2, 3))
            self.mean = self.maps.mean((1, 2))
            self.lengths = vector_norm(self.maps, dim=3)

    def rolled(self, offset: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Return the feature maps and their lengths over the channels, rolled by ``offset``."""
        if offset in self._rolled:
            return self._rolled[offset]
        made = self.maps.roll(offset, (1, 2)), self.lengths.roll(offset, (1, 2))
        if self.stride != 1:  # then several shifts of the image have the same one
            self._rolled[offset] = made
        return made


def differences(base: Reference, moved: Tensor, shift: tuple[int, int]) -> Tensor:
    """Return the errors between an output and the shifted output of the unshifted image.

    Args:
        base: F(x).
        moved: F(T_d x), of the same shape.
        shift: d = (dy, dx) in pixels of the image.

    Returns:
        ``(N, 3)``: equivariance error, cosine distance, invariance error; NaN where undefined.
    """
    if not base.is_map:
        empty = moved.new_full((len(moved),), torch.nan)
        return torch.stack([empty, empty, _relative(moved.flatten(1), base.maps)], 1)
    moved = _channels_last(moved)
    error, aligned, lengths = _align(base, moved, shift)
    invariance = _relative(moved.mean((1, 2)), base.mean)
    cosine = _cosine_distance(moved, aligned, lengths)
    return torch.stack([error / base.norm, cosine, invariance], 1)


def _channels_last(maps: Tensor) -> Tensor:
    return maps.permute(0, 2, 3, 1).contiguous()


def _align(base: Reference, moved: Tensor, shift: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
    """Return, per image, the distance of ``moved`` to the closest roll of ``base``; that roll.

    And its lengths over the channels.
    """
    stride = base.stride or 1
    rows, columns = (sorted({offset // stride, -(-offset // stride)}) for offset in shift)
    first, *others = itertools.product(rows, columns)
    best, lengths = base.rolled(first)
    error = vector_norm(moved - best, dim=(1, 2, 3))
    for offset in others:
        rolled, own = base.rolled(offset)
        distance = vector_norm(moved - rolled, dim=(1, 2, 3))
        closer = (distance < error)[:, None, None]
        best = torch.where(closer[..., None], rolled, best)
        lengths = torch.where(closer, own, lengths)
        error = torch.minimum(error, distance)
    return error, best, lengths


def _relative(moved: Tensor, base: Tensor) -> Tensor:
    relative: Tensor = vector_norm(moved - base, dim=1) / vector_norm(base, dim=1)
    return relative


def _cosine_distance(a: Tensor, b: Tensor, length_b: Tensor) -> Tensor:
    """Return ``(N,)`` for two ``(N, h, w, C)``; positions where both are zero have distance 0."""
    length_a = vector_norm(a, dim=3)
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
