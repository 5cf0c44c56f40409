"""Harmonic Networks (Worrall et al. 2017, arXiv 1612.04642): magnitudes that do not rotate.

Feature maps are complex and have rotation orders: rotating the image by θ rotates a map of order m
and multiplies it by e^{imθ}. A filter of order k takes order m to m + k. Complex maps are stored as
real channels, ``(N, orders · 2 · C, H, W)``: by order, then real and imaginary part, then channel.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shiftbench.errors import require_within
from shiftbench.model import blocks
from shiftbench.ops.padding import FULL, of_layer, pad2d, wrap_amounts
from shiftbench.ops.rings import ring_basis

KERNEL_SIZE, RINGS = 5, 4
STAGES = (1, 2, 4)  # channels of each stage over the width
EPSILON = 1e-12  # of a squared magnitude: its root has a finite slope at 0


class HarmonicConv2d(nn.Module):
    """Convolution of complex maps with 5×5 filters R(r) e^{i(kφ + β)}, one per pair of orders.

    ``x: (N, orders·2·in_chans, H, W) -> (N, orders·2·out_chans, H', W')``; of an image, whose only
    order is 0, ``x: (N, in_chans, H, W)``. R has one trained value for each of four rings; filters
    of order −k are the conjugates of those of order k (with their own weights the published code
    counts 33,000 parameters, and does not use them).

    Args:
        in_chans: Channels of each order of ``x``.
        out_chans: Channels of each order of the output.
        max_order: The largest order M; maps have the orders 0..M.
        stride: Stride of the convolution.
        padding: ``zeros``, ``circular``, ``reflect`` or ``full``.
        of_image: Whether ``x`` is an image: real, of order 0.
        rotates: Whether the phases β are parameters, uniform at first; otherwise they are 0.
    """

    def __init__(
        self,
        in_chans: int,
        out_chans: int,
        max_order: int = 1,
        stride: int = 1,
        padding: str = "zeros",
        of_image: bool = False,
        rotates: bool = True,
    ) -> None:
        super().__init__()
        self.in_orders = 1 if of_image else max_order + 1
        self.out_orders, self.of_image, self.stride = max_order + 1, of_image, stride
        self.border = KERNEL_SIZE - 1 if padding == FULL else KERNEL_SIZE // 2
        self.padding_mode = of_layer(padding)
        self.radial = nn.ParameterList()
        self.phase = nn.ParameterList()
        for order in range(max_order + 1):
            basis = torch.stack(ring_basis(order, KERNEL_SIZE, RINGS))
            self.register_buffer(f"basis_{order}", basis.float(), persistent=False)
            # The output is as large as the input if the energies of all filters sum to 1.
            energy = float((basis**2).sum()) * in_chans * self.in_orders
            weight = torch.randn(RINGS, out_chans, in_chans) / math.sqrt(energy)
            self.radial.append(nn.Parameter(weight))
            phase = torch.rand(out_chans, in_chans) * 2 * math.pi
            if rotates:
                self.phase.append(nn.Parameter(phase))

    def forward(self, x: Tensor) -> Tensor:
        """Return the filtered maps."""
        weight = self.weight().to(x)
        if self.padding_mode == "zeros":
            return F.conv2d(x, weight, None, self.stride, self.border)
        amounts = [self._amounts(size) for size in (x.shape[3], x.shape[2])]
        padded = pad2d(x, (*amounts[0], *amounts[1]), self.padding_mode)
        return F.conv2d(padded, weight, None, self.stride)

    def weight(self) -> Tensor:
        """Return the real filters of the stacked channels, ``(out, in, 5, 5)``."""
        filters = [self._filters(order) for order in range(self.out_orders)]
        rows = []
        for out in range(self.out_orders):
            columns = [_as_real(*filters[abs(out - into)], out < into, self.of_image)
                       for into in range(self.in_orders)]  # fmt: skip
            rows.append(torch.cat(columns, 1))
        return torch.cat(rows, 0).contiguous(memory_format=torch.channels_last)

    def _filters(self, order: int) -> tuple[Tensor, Tensor]:
        """Return the real and imaginary parts ``(out_chans, in_chans, 5, 5)`` of an order ≥ 0."""
        basis: Tensor = getattr(self, f"basis_{order}")
        cosine, sine = torch.einsum("roi,prhw->poihw", self.radial[order], basis)
        if not self.phase:
            return cosine, sine
        turn = self.phase[order][..., None, None]
        real, imaginary = turn.cos(), turn.sin()
        return real * cosine - imaginary * sine, real * sine + imaginary * cosine

    def _amounts(self, size: int) -> tuple[int, int]:
        if self.padding_mode != "circular":
            return self.border, self.border
        kept = (size + 2 * self.border - KERNEL_SIZE) // self.stride + 1
        return wrap_amounts(size, self.border, KERNEL_SIZE - 1, self.stride, kept)


def _as_real(real: Tensor, imaginary: Tensor, conjugate: bool, of_image: bool) -> Tensor:
    """Return complex filters as real ones of (real, imaginary) channels, of images (real)."""
    if conjugate:
        imaginary = -imaginary
    if of_image:
        return torch.cat((real, imaginary), 0)
    first, second = torch.cat((real, -imaginary), 1), torch.cat((imaginary, real), 1)
    return torch.cat((first, second), 0)


def magnitudes(x: Tensor, orders: int) -> Tensor:
    """Return |z| of stacked channels, ``(N, orders·2·C, H, W) -> (N, orders, C, H, W)``."""
    real, imaginary = x.unflatten(1, (orders, 2, -1)).unbind(2)
    size: Tensor = (real**2 + imaginary**2 + EPSILON).sqrt()
    return size


class _OfMagnitude(nn.Module):
    """A function f of magnitudes: z ← f(|z|) z / |z|."""

    def __init__(self, channels: int, max_order: int) -> None:
        super().__init__()
        self.channels, self.orders = channels, max_order + 1

    def of(self, size: Tensor) -> Tensor:
        """Return f, ``(N, orders·C, H, W)`` to the same shape."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Return the maps with other magnitudes and the same phases."""
        size = magnitudes(x, self.orders)
        factor = self.of(size.flatten(1, 2)).unflatten(1, (self.orders, -1)) / size
        maps: Tensor = (x.unflatten(1, (self.orders, 2, -1)) * factor.unsqueeze(2)).flatten(1, 3)
        return maps


class MagnitudeReLU(_OfMagnitude):
    """ReLU(|z| + b) z / |z|, with b for each order and channel (eq. 11)."""

    def __init__(self, channels: int, max_order: int) -> None:
        super().__init__(channels, max_order)
        self.bias = nn.Parameter(torch.zeros(self.orders * channels))

    def of(self, size: Tensor) -> Tensor:
        """Return ReLU(size + b)."""
        return F.relu(size + self.bias[:, None, None])


class MagnitudeNorm(_OfMagnitude):
    """ReLU(BN(|z|)) z / |z|, with the BatchNorm of each order and channel."""

    def __init__(self, channels: int, max_order: int) -> None:
        super().__init__(channels, max_order)
        self.norm = nn.BatchNorm2d(self.orders * channels)

    def of(self, size: Tensor) -> Tensor:
        """Return ReLU(BN(size))."""
        return F.relu(self.norm(size))


class Harmonic(nn.Module):
    """Three stages of two harmonic convolutions, a last one with a channel per class, a head.

    ``x: (N, in_chans, H, W) -> (N, num_classes)``. The head gets the sum over orders of the
    magnitudes of the last convolution. For one colour and ten classes, with ``width`` 8: the
    network of Worrall et al. for rotated MNIST, but for the linear layer of ``head=gap``, where
    theirs adds a bias to each mean. With ``pool=avg`` and ``padding=zeros``, quarter turns of
    square images of an even size per stage change the logits by rounding only, trained or not;
    strided convolution and blur sample even sizes off their centre and break this.

    Args:
        num_classes: Number of logits.
        in_chans: Channels of the images.
        image_size: ``(H, W)`` of the images.
        pool: Makes a downsampling layer, ``pool(channels, padding=...)``; linear, since real and
            imaginary parts are pooled alike.
        head: Makes the classifier, ``head(in_chans, map_size, num_classes)``.
        padding: ``zeros``, ``circular``, ``reflect`` or ``full``.
        width: Complex channels of each order in the first stage; the others have 2 and 4 times
            as many.
        max_order: The largest rotation order of the maps, 0 to 4.
        downsamplings: Steps that halve the feature map, behind the first stages, 0 to 2.

    Raises:
        UsageError: If an argument is out of range, or the pool is not linear.
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
        downsamplings: int = 2,
    ) -> None:
        super().__init__()
        require_within("model.width", width, 1, blocks.MAX_WIDTH)
        require_within("model.max_order", max_order, 0, 4)
        require_within("model.downsamplings", downsamplings, 0, len(STAGES) - 1)
        real = 2 * (max_order + 1)  # real channels of a complex one of every order
        pools = [pool(real * width * factor, padding=padding) for factor in STAGES[:downsamplings]]
        layers: list[nn.Module] = []
        chans = in_chans
        for index, factor in enumerate(STAGES):
            site = pools[index] if index < downsamplings else None
            out, stride = width * factor, blocks.conv_stride(site)
            layers += [
                HarmonicConv2d(chans, out, max_order, 1, padding, of_image=index == 0),
                MagnitudeReLU(out, max_order),
                HarmonicConv2d(out, out, max_order, stride, padding),
                MagnitudeNorm(out, max_order),
            ]
            if site is not None:
                blocks.require_linear(site, real * out, "harmonic")
                layers.append(site)
            chans = out
        layers.append(HarmonicConv2d(chans, num_classes, max_order, 1, padding, rotates=False))
        self.features = nn.Sequential(*layers)
        self.orders = max_order + 1
        self.total_stride = blocks.total_stride(pools)
        size = blocks.map_size(self, self.forward_features, in_chans, image_size)
        self.head = head(num_classes, size, num_classes)

    def forward_features(self, x: Tensor) -> Tensor:
        """Return the sum over orders of the last magnitudes, ``(N, num_classes, h, w)``."""
        return magnitudes(self.features(x), self.orders).sum(1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        logits: Tensor = self.head(self.forward_features(x))
        return logits
