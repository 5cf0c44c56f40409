"""Filling unknown pixels smoothly from the known ones by normalised convolution."""

from __future__ import annotations

import math

import torch
from torch import Tensor

# Order of the binomial filter. The published code uses 11, whose 12 taps are centred half a pixel
# off.
_ORDER = 12


def inpaint(images: Tensor, known: Tensor) -> Tensor:
    """Fill unknown pixels iteratively with the weighted mean of the known pixels near them.

    Each iteration divides the blurred image by the blurred mask, both blurred with a separable
    binomial filter of 13 taps, and treats the filled pixels as known in the next one, until no
    pixel is unknown (Azulay & Weiss 2019, arXiv 1805.12177, released code; that code uses 12 taps
    and stops while up to 200 pixels are still black).

    Args:
        images: ``(N, C, H, W)``, uint8 or float; unknown pixels may have any value.
        known: ``(N, 1, H, W)`` bool; at least one pixel of every image has to be known.

    Returns:
        ``(N, C, H, W)`` in the dtype of ``images``; known pixels are unchanged.
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
    """Return the symmetric matrix ``(side, side)`` that blurs one axis, with zero padding.

    A product with this matrix is much faster than a convolution of single channels.
    """
    weights = torch.tensor([math.comb(_ORDER, k) / 2**_ORDER for k in range(_ORDER + 1)])
    place = torch.arange(side)
    apart = (place[:, None] - place).abs()
    taps = weights[(apart + _ORDER // 2).clamp(max=_ORDER)]
    return taps.where(apart <= _ORDER // 2, 0).to(device)
