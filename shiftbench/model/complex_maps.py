"""Layers of complex feature maps that turn with the image (Harmonic Networks).

A map of order m is multiplied by e^(imθ) and moved where the image is turned by θ. Complex maps of
the orders 0 to M are real channels, in the order (part, order, channel): all real parts, then all
imaginary parts.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shiftbench.ops.computed_conv import ComputedConv2d
from shiftbench.ops.geometry import rolls_to_batch
from shiftbench.ops.ring_filters import RINGS, ring_harmonics

if TYPE_CHECKING:
    from shiftbench.pool import Downsampling

SIZE = 5  # side of the filters
# Added to |z|², where the derivative of |z| does not exist at 0.
SMALL = 1e-6


class HarmonicConv2d(ComputedConv2d):
    """Convolution of complex maps with the filters R(r) e^(i(mφ + β)).

    ``x: (N, 2·in_orders·in_chans, H, W) -> (N, 2·orders·out_chans, H/s, W/s)``, or without the
    factor of 2 on the left for real input. Output order o is the sum over the input orders i of
    their convolutions with filters of order m = o − i (Worrall et al., arXiv 1612.04642, sec. 3.2);
    of a negative order, the conjugate of that of order −m. A ring of the filters has an energy of 1
    and its weight an initial variance that keeps that of the maps.

    Args:
        in_chans: Channels of each input order.
        out_chans: Channels of each output order.
        in_orders: Number of orders of the input, from 0 on.
        orders: Number of orders of the output.
        padding: The network's padding.
        stride: s.
        real_input: Whether the input has no imaginary parts (an image).
        phases: Whether the filters have trainable phases β.
    """

    harmonics: Tensor
    filter_of: Tensor
    sign: Tensor

    def __init__(
        self,
        in_chans: int,
        out_chans: int,
        in_orders: int,
        orders: int,
        padding: str,
        stride: int = 1,
        real_input: bool = False,
        phases: bool = True,
    ) -> None:
        super().__init__(SIZE, stride, padding)
        kinds = max(in_orders, orders)
        std = 1 / math.sqrt(in_chans * in_orders * RINGS)
        self.rings = nn.Parameter(std * torch.randn(kinds, out_chans, in_chans, RINGS))
        self.phases: nn.Parameter | None = None
        if phases:
            self.phases = nn.Parameter(2 * math.pi * torch.rand(kinds, out_chans, in_chans))
        self.real_input, self.orders = real_input, orders
        self.register_buffer("harmonics", _harmonics(kinds), persistent=False)
        order = torch.arange(orders)[:, None] - torch.arange(in_orders)
        self.register_buffer("filter_of", order.abs(), persistent=False)
        # Of four axes at most: a network with a tensor of five cannot be made channels-last.
        self.register_buffer("sign", 1.0 - 2.0 * (order < 0), persistent=False)

    def filters(self) -> Tensor:
        """Return the real filters that multiply complex maps ``(out, in, 5, 5)``."""
        cosine, sine = (self.rings @ part[:, None] for part in self.harmonics)  # (m, out, in, 25)
        if self.phases is not None:
            turn_real, turn_imaginary = self.phases.cos()[..., None], self.phases.sin()[..., None]
            cosine, sine = (
                turn_real * cosine - turn_imaginary * sine,
                turn_real * sine + turn_imaginary * cosine,
            )
        # (order, in_order, out, in, 25) -> (order, out, in_order, in, 25)
        real = cosine[self.filter_of].transpose(1, 2)
        imaginary = self.sign[:, None, :, None, None] * sine[self.filter_of].transpose(1, 2)
        columns = [torch.stack([real, imaginary])]
        if not self.real_input:
            columns.append(torch.stack([-imaginary, real]))
        filters = torch.stack(columns, dim=3).flatten(3, 5).flatten(0, 2)
        return filters.view(*filters.shape[:2], SIZE, SIZE)

    def rotated_channels(self, maps: Tensor, degrees: float) -> Tensor:
        """Return the maps times e^(imθ): what an image turned counter-clockwise by θ gives."""
        z = torch.complex(*maps.chunk(2, 1)).unflatten(1, (self.orders, -1))
        angles = math.radians(degrees) * torch.arange(self.orders, device=maps.device)
        turned = z * torch.polar(torch.ones_like(angles), angles)[:, None, None, None]
        return torch.cat([turned.real, turned.imag], 1).flatten(1, 2)


def _harmonics(orders: int) -> Tensor:
    """Return the filters of every order ``(part, order, ring, 25)``, each of energy 1."""
    filters = torch.stack([ring_harmonics(order, SIZE).flatten(1) for order in range(orders)])
    filters = filters / torch.linalg.vector_norm(filters, dim=-1, keepdim=True)
    return torch.stack([filters.real, filters.imag]).float()


def squared(z: Tensor) -> Tensor:
    """Return |z|² ``(N, C, H, W)``, and a little more, of complex maps ``(N, 2·C, H, W)``."""
    real, imaginary = z.chunk(2, 1)
    return real.square() + imaginary.square() + SMALL


def scaled(z: Tensor, factor: Tensor) -> Tensor:
    """Return complex maps ``(N, 2·C, H, W)`` times real numbers ``(N, C, H, W)``."""
    parts = z.chunk(2, 1)
    return torch.cat([part * factor for part in parts], 1)


class MagnitudeReLU(nn.Module):
    """ReLU(|z| + b) z/|z| with a bias b for every order and channel.

    ``z: (N, 2·maps, H, W)``, complex, to the same; the phase of z is kept.

    Args:
        maps: Complex channels, of all orders together.
    """

    def __init__(self, maps: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(maps))

    def forward(self, z: Tensor) -> Tensor:
        """Return the maps with their magnitudes thresholded."""
        inverse = squared(z).rsqrt()
        return scaled(z, F.relu(1 + self.bias[:, None, None] * inverse))


class MagnitudeNorm(nn.Module):
    """ReLU(BatchNorm(|z|)) z/|z|: the magnitudes are normalised, the phases kept.

    ``z: (N, 2·maps, H, W)``, complex, to the same.

    Args:
        maps: Complex channels, of all orders together.
    """

    is_one_layer = True  # for the layer probes: its BatchNorm sees magnitudes only

    def __init__(self, maps: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(maps)

    def forward(self, z: Tensor) -> Tensor:
        """Return the maps with their magnitudes normalised."""
        magnitude = squared(z).sqrt()
        return scaled(z, F.relu(self.norm(magnitude)) / magnitude)


class SumOfMagnitudes(nn.Module):
    """The sum over the orders of |z|: ``z: (N, 2·orders·C, H, W) -> (N, C, H, W)``, real.

    Args:
        orders: Number of orders.
    """

    def __init__(self, orders: int) -> None:
        super().__init__()
        self.orders = orders

    def rotated_channels(self, maps: Tensor, degrees: float) -> Tensor:
        """Return the maps as they are: magnitudes do not change."""
        return maps

    def forward(self, z: Tensor) -> Tensor:
        """Return the sum."""
        return torch.stack(squared(z).sqrt().chunk(self.orders, 1)).sum(0)


class MagnitudeMax2d(nn.Module):
    """Of each cell, the complex number of the largest magnitude, for every channel by itself.

    ``z: (N, 2·C, H, W) -> (N, 2·C, ceil(H/s), ceil(W/s))``.

    Args:
        stride: s, also the size of a cell.
    """

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, z: Tensor) -> Tensor:
        """Return the largest numbers."""
        largest, place = F.max_pool2d(
            squared(z), self.stride, self.stride, ceil_mode=True, return_indices=True
        )
        places = place.flatten(2).repeat(1, 2, 1)
        return z.flatten(2).gather(2, places).view(*places.shape[:2], *largest.shape[2:])

    def all_phases(self, z: Tensor) -> Tensor:
        """Return the largest numbers on every sampling grid, ``-> (N·s², 2·C, H/s, W/s)``."""
        largest: Tensor = self(rolls_to_batch(z, (self.stride, self.stride), -1))
        return largest


class GridByMagnitude2d(nn.Module):
    """A pool that selects its sampling grid by content, here by the magnitudes of complex maps.

    ``z: (N, 2·C, H, W) -> (N, 2·C, ceil(H/s), ceil(W/s))``.

    Args:
        selecting: The pool that selects, of C channels.
        sampling: The same pool of 2·C channels; it drops its parameters for the selection.
    """

    def __init__(self, selecting: Downsampling, sampling: Downsampling) -> None:
        super().__init__()
        self.selecting, self.sampling = selecting, sampling
        sampling.follow_main_branch()

    def forward(self, z: Tensor) -> Tensor:
        """Return the maps on the grid that their magnitudes select."""
        sampled: Tensor = self.sampling(z, self.selecting.phase(squared(z).sqrt()))
        return sampled
