"""Layers of feature maps on the group of rotations by multiples of 360°/N (group convolutions).

A feature has a map for each of N rotations. Where the image is turned by 360°/N, every map turns
and becomes that of the next rotation. Channels are in the order (rotation, feature).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from shiftbench.ops.computed_conv import ComputedConv2d
from shiftbench.ops.ring_filters import ring_harmonics

ORDERS = (4, 8)
# Of the filters that turn by 45°. Harmonics of higher orders alias on the pixels: with order 4, two
# layers change by 5 % under 45° where they change by 3 % without, on the images of the test.
LARGEST_ORDER = 3


class GroupConv2d(ComputedConv2d):
    """Convolution over positions and rotations (Cohen & Welling, arXiv 1602.07576, sec. 6).

    ``x: (N, in_chans, H, W)``, an image, or ``(N, order·in_chans, H, W) ->
    (N, order·out_chans, H/s, W/s)``. Output rotation g is convolved with the filters turned
    counter-clockwise by g·360°/order, those of input rotation h being number h − g.

    With order 4, filters are free and turn exactly. With order 8, they are weighted sums of
    circular harmonics (:func:`~shiftbench.ops.ring_filters.ring_harmonics`) on rings of radius
    r = 0, 1, ... px, of orders up to 2r and 3: a turn changes their phases, so that no filter is
    interpolated between pixels, and quarter turns are exact. By 45° they are as exact as the
    harmonics are on a square grid.

    Args:
        in_chans: Features of the input.
        out_chans: Features of the output.
        order: Number of rotations, 4 or 8.
        kernel_size: Side of the filters in pixels, odd.
        padding: The network's padding.
        stride: s.
        of_image: Whether the input is an image, without rotations.
    """

    basis: Tensor

    def __init__(
        self,
        in_chans: int,
        out_chans: int,
        order: int,
        kernel_size: int,
        padding: str,
        stride: int = 1,
        of_image: bool = False,
    ) -> None:
        super().__init__(kernel_size, stride, padding)
        self.order, self.in_chans = order, in_chans
        self.in_rotations = 1 if of_image else order
        self.register_buffer("basis", turning_filters(kernel_size), persistent=False)
        numbers = self.basis.shape[1] if order == 8 else kernel_size**2
        fan_in = self.in_rotations * in_chans
        # Of three axes: a network with a tensor of five cannot be made channels-last.
        drawn = torch.randn(out_chans, fan_in, numbers)
        self.weight = nn.Parameter(drawn * math.sqrt(2 / (fan_in * numbers)))  # He et al. 2015

    def filters(self) -> Tensor:
        """Return the filters of all rotations ``(order·out, in, kernel_size, kernel_size)``."""
        size = self.kernel_size
        turned = [self.weight]
        if self.order == 8:  # by 0° and by 45°; all others are quarter turns of these
            turned = [self.weight @ basis for basis in self.basis]
        parts = []
        for rotation in range(self.order):
            quarters, rest = divmod(rotation, len(turned))
            part = turned[rest].unflatten(1, (self.in_rotations, self.in_chans))
            part = part.unflatten(3, (size, size)).rot90(quarters, (3, 4))
            parts.append(part.roll(rotation, 1) if self.in_rotations > 1 else part)
        return torch.stack(parts).flatten(2, 3).flatten(0, 1)

    def rotated_channels(self, maps: Tensor, degrees: float) -> Tensor:
        """Return the maps moved along the rotations, by the whole number nearest to the angle."""
        steps = round(degrees * self.order / 360)
        moved: Tensor = maps.unflatten(1, (self.order, -1)).roll(steps, 1).flatten(1, 2)
        return moved


def turning_filters(size: int) -> Tensor:
    """Return filters, and the same turned counter-clockwise by 45°, ``(2, filters, size²)``.

    Real and imaginary parts of circular harmonics on rings of radius r = 0, 1, ... up to half the
    side, of orders 0 to 2r and 3 at most; the two parts have a mean energy of 1.
    """
    turned: list[list[Tensor]] = [[], []]
    for radius in range(size // 2 + 1):
        for order in range(min(2 * radius, LARGEST_ORDER) + 1):
            [filters] = ring_harmonics(order, size, [radius]).flatten(1)
            energy = filters.abs().square().sum() / (2 if order else 1)
            for eighths, made in enumerate(turned):
                angle = torch.tensor(-order * eighths * math.pi / 4, dtype=torch.float64)
                one = filters / energy.sqrt() * torch.polar(torch.ones_like(angle), angle)
                made += [one.real, one.imag] if order else [one.real]
    return torch.stack([torch.stack(made) for made in turned]).float()


class GroupNorm2d(nn.Module):
    """BatchNorm with the statistics and parameters of a feature shared by its rotations.

    ``x: (N, order·features, H, W)`` to the same.

    Args:
        features: Features.
        order: Number of rotations.
    """

    is_one_layer = True  # for the layer probes: its BatchNorm sees rotations as positions

    def __init__(self, features: int, order: int) -> None:
        super().__init__()
        self.features, self.order = features, order
        self.norm = nn.BatchNorm2d(features)

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised maps."""
        batch, channels, height, width = x.shape
        # Rotations as further positions; of channels-last maps a view, without a copy.
        pixels = x.permute(0, 2, 3, 1).reshape(batch, height, width * self.order, self.features)
        normed: Tensor = self.norm(pixels.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return normed.reshape(batch, height, width, channels).permute(0, 3, 1, 2)


class OverRotations(nn.Module):
    """The maximum or the mean over rotations, ``(N, order·features, H, W) -> (N, features, H, W)``.

    Args:
        order: Number of rotations.
        how: ``max`` or ``mean``.
    """

    def __init__(self, order: int, how: str) -> None:
        super().__init__()
        self.order, self.how = order, how

    def forward(self, x: Tensor) -> Tensor:
        """Return one map for every feature."""
        maps = torch.stack(x.chunk(self.order, 1))
        return maps.amax(0) if self.how == "max" else maps.mean(0)

    def rotated_channels(self, maps: Tensor, degrees: float) -> Tensor:
        """Return the maps as they are: they do not depend on rotations."""
        return maps

    def extra_repr(self) -> str:
        """Return the settings for ``print(model)``."""
        return f"order={self.order}, how={self.how}"
