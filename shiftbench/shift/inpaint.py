"""Filling what is unknown from what is known, without an edge: normalised convolution."""

from __future__ import annotations

import math

import torch
from torch import Tensor

# Of the binomial. The published code has 11, whose 12 taps lie half a pixel off the centre.
_ORDER = 12


def inpaint(images: Tensor, known: Tensor) -> Tensor:
    """Fill unknown pixels, ring by ring, with the weighted mean of the known ones near them.

    Blurred image / blurred mask, with a separable binomial filter of 13 taps, repeated with what
    was filled counting as known until nothing is left (Azulay & Weiss 2019, arXiv 1805.12177,
    released code; there with 12 taps, and it stops with up to 200 pixels still black).

    Args:
        images: ``(N, C, H, W)``, uint8 or float; unknown pixels may hold anything.
        known: ``(N, 1, H, W)`` bool, at least one pixel of every image.

    Returns:
        ``(N, C, H, W)`` in the type of ``images``; known pixels are unchanged.
    """
    pixels, mask = images.float(), known
    rows, columns = (_binomial(side, images.device) for side in images.shape[-2:])
    while not bool(mask.all()):
        weight = rows @ mask.float() @ columns
        mean = rows @ pixels.where(mask, 0) @ columns / weight
        grown = mask | (weight > 0)
        if torch.equal(grown, mask):
            raise ValueError("there is no known pixel to fill the others from")
        pixels, mask = torch.where(mask, pixels, mean), grown
    if images.dtype == torch.uint8:
        pixels = pixels.round()
    return torch.where(known, images, pixels.to(images.dtype))


def _binomial(side: int, device: torch.device) -> Tensor:
    """Return the symmetric matrix ``(side, side)`` that blurs one axis; outside is 0.

    A product with it is much faster than a convolution of single channels.
    """
    weights = torch.tensor([math.comb(_ORDER, k) / 2**_ORDER for k in range(_ORDER + 1)])
    place = torch.arange(side)
    apart = (place[:, None] - place).abs()
    taps = weights[(apart + _ORDER // 2).clamp(max=_ORDER)]
    return taps.where(apart <= _ORDER // 2, 0).to(device)
