"""Harmonic Networks, equivariant to rotations (Worrall et al., arXiv 1612.04642)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from shiftbench.errors import UsageError, require_within
from shiftbench.model import blocks
from shiftbench.model.complex_maps import (
    GridByMagnitude2d,
    HarmonicConv2d,
    MagnitudeMax2d,
    MagnitudeNorm,
    MagnitudeReLU,
    SumOfMagnitudes,
)

if TYPE_CHECKING:
    from shiftbench.pool import Downsampling

STAGES = 3


class HarmonicNetwork(nn.Module):
    """Three stages of two 5×5 convolutions of complex maps, and one to a map for every class.

    ``x: (N, in_chans, H, W) -> (N, num_classes)``. With the defaults, ``pool=avg`` and
    ``head=mean`` (the mean over positions plus a bias), it is the network for rotated MNIST of the
    paper (sec. 5.1): [8, non-linearity, 8, BatchNorm], mean of 2×2, [16, ..., 16, ...], mean of
    2×2, [32, ..., 32, ...], 10. For 10 classes and grey images it has 22,826 parameters. The
    paper's 33,000 include weights of order −1, 5 for each pair of channels, that the released code
    creates and does not use: filters of order −1 are conjugates of those of order 1. An image of
    28×28 takes 88 million multiply-adds.

    **What is exact.** Under quarter turns of a square image the logits stay the same to rounding,
    trained or not, with zeros, circular or reflect padding and a head that does not depend on
    positions, if every pool samples symmetrically: ``avg``, ``max`` and ``wavelet`` with an even
    number of taps (circular also ``aps``), where every feature map that is halved has an even side
    (28, 32); ``stride`` and ``blur`` with its three taps, where it has an odd side (29: 29, 15, 8);
    ``global`` for every side. Otherwise, an odd side with ``avg`` or an even one with ``stride``,
    the grid of the samples is not the turned one. ``lps`` and ``soft_lps`` choose by filters that
    do not turn. Other angles are as exact as their samples: edges, aliasing and, most of all,
    strides limit it.

    Pools act on complex numbers: linear ones on both parts; ``max`` takes the number of the largest
    magnitude; ``aps``, ``lps`` and ``soft_lps`` select their grid by the magnitudes.

    Args:
        num_classes: Number of logits.
        in_chans: Channels of the images.
        image_size: ``(H, W)`` of the images.
        pool: Makes a downsampling layer, ``pool(channels, padding=...)``.
        head: Makes the classifier of the class maps, ``head(num_classes, map_size, num_classes)``.
        padding: ``zeros``, ``circular``, ``reflect`` or ``full``.
        width: Complex channels of each order in the first stage; the others have 2 and 4 times as
            many.
        max_order: Largest order of rotation of the maps, 0 to 3; with 0, filters are rings.

    Raises:
        UsageError: If an argument is out of range, or the pool is neither linear nor selects.
    """

    def __init__(
        self,
        num_classes: int,
        in_chans: int,
        image_size: tuple[int, int],
        pool: blocks.MakePool,
        head: blocks.MakeHead,
        padding: str = "zeros",
        width: int = 8,
        max_order: int = 1,
    ) -> None:
        super().__init__()
        require_within("model.width", width, 1, blocks.MAX_WIDTH)
        require_within("model.max_order", max_order, 0, 3)
        self.orders = max_order + 1
        layers: list[nn.Module] = []
        strides: list[int] = []
        chans = 0  # the image
        for stage in range(STAGES):
            out_chans = width * 2**stage
            maps = self.orders * out_chans
            site = pool(2 * maps, padding=padding) if stage + 1 < STAGES else None
            first = self._first(in_chans, out_chans, padding)
            layers += [
                self._convolution(chans, out_chans, padding) if stage else first,
                MagnitudeReLU(maps),
                self._convolution(out_chans, out_chans, padding, blocks.conv_stride(site)),
                MagnitudeNorm(maps),
            ]
            if site is not None:
                layers.append(_complex_pool(site, pool, maps, padding))
                strides.append(blocks.site_stride(site))
            chans = out_chans
        layers += [
            self._convolution(chans, num_classes, padding, phases=False),
            SumOfMagnitudes(self.orders),
        ]
        self.features = nn.Sequential(*layers)
        self.total_stride = strides[0] * strides[1]
        blocks.init_weights(self)  # of pools
        size = blocks.map_size(self, self.features, in_chans, image_size)
        self.head = head(num_classes, size, num_classes)

    def forward_features(self, x: Tensor) -> Tensor:
        """Return the class maps ``(N, num_classes, h, w)``, sums of magnitudes."""
        features: Tensor = self.features(x)
        return features

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        logits: Tensor = self.head(self.forward_features(x))
        return logits

    def _first(self, in_chans: int, out_chans: int, padding: str) -> HarmonicConv2d:
        return HarmonicConv2d(in_chans, out_chans, 1, self.orders, padding, real_input=True)

    def _convolution(
        self, in_chans: int, out_chans: int, padding: str, stride: int = 1, phases: bool = True
    ) -> HarmonicConv2d:
        orders = self.orders
        return HarmonicConv2d(in_chans, out_chans, orders, orders, padding, stride, phases=phases)


def _complex_pool(pool: Downsampling, make: blocks.MakePool, maps: int, padding: str) -> nn.Module:
    """Return a pool of ``maps`` complex channels.

    Args:
        pool: The pool of as many real channels.
        make: Makes pools.
        maps: Complex channels, of all orders together.
        padding: The network's padding.

    Raises:
        UsageError: If it is not one that complex numbers can have.
    """
    blocks.refuse_max_first(pool, "harmonic")
    if pool.picks_grid:
        return GridByMagnitude2d(make(maps, padding=padding), pool)
    if isinstance(pool, nn.MaxPool2d):
        return MagnitudeMax2d(blocks.site_stride(pool))
    if pool.has_parameters or not blocks.is_additive(pool, 2 * maps):
        raise UsageError(
            "model=harmonic needs a pool that is linear or selects samples by their magnitude, "
            f"got {type(pool).__name__}; allowed: pool=avg, blur, wavelet, flc, asap, ideal, "
            "stride, global, max, aps, lps, soft_lps"
        )
    return pool
