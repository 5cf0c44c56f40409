"""Steps of random networks that are not circular, or that subsample in code."""

import torch
import torch.nn.functional as F
from random_layers import CHANNELS, Step
from torch import nn


def where(x):
    """A feature map of the size of ``x`` with different values at different positions."""
    generator = torch.Generator().manual_seed(5)
    return torch.rand(1, CHANNELS, *x.shape[2:], generator=generator).to(x)


def corner(x):
    return x[:, :, :1, :1]


def silent(width):
    """A linear layer whose units are all dead (behind a ReLU) for small inputs."""
    linear = nn.Linear(width, width)
    nn.init.constant_(linear.bias, -30.0)
    return linear


WEAK = {"strong": 1.0, "weak": 1e-2, "weaker": 1e-4}


def weak(m):
    """Return the weight of the position-dependent term that a trap adds."""
    name = m.rng.choice(sorted(WEAK))
    m.names.add(f"{name} branch")
    return WEAK[name]


def halves(x):
    """The sum of the upper left and lower right quarters of the feature map."""
    rows, columns = x.shape[2] // 2, x.shape[3] // 2
    return x[:, :, :rows, :columns] + x[:, :, rows:, columns:]


def plain_conv(*arguments, **more):
    return lambda m, size: nn.Conv2d(CHANNELS, CHANNELS, *arguments, **more)


def code(function):
    return lambda m, size: Step(function)


def added(function):
    """A trap that adds ``function(x)`` to its input, usually with a small weight."""

    def made(m, size):
        scale = weak(m)
        return Step(lambda x: x + scale * function(x))

    return made


def linear_columns(m, size):
    """A linear layer over columns that is active for large inputs only."""
    scale = weak(m)
    return Step(lambda x, f: x + scale * f(x).relu(), silent(size[1]))


TRAPS = {  # steps that are not circular, or that subsample in code
    "functional max pool": code(lambda x: F.max_pool2d(x, 2)),
    "functional average pool": code(lambda x: F.avg_pool2d(x, 2)),
    "every second pixel": code(lambda x: x[:, :, ::2, ::2]),
    "a row less": code(lambda x: x[:, :, 1:, :]),
    "halves added": code(halves),
    "interpolate": code(lambda x: F.interpolate(x, scale_factor=0.5, mode="bilinear")),
    "pixel_unshuffle": lambda m, size: Step(
        lambda x, f: f(F.pixel_unshuffle(x, 2)), nn.Conv2d(4 * CHANNELS, CHANNELS, 1)
    ),
    "a part of pixel_unshuffle": code(lambda x: F.pixel_unshuffle(x, 2)[:, ::4]),
    "functional adaptive pool": code(lambda x: F.adaptive_avg_pool2d(x, x.shape[2] // 2)),
    "padding in code": lambda m, size: Step(
        lambda x, f: f(F.pad(x, (1, 1, 1, 1), "circular")), nn.Conv2d(CHANNELS, CHANNELS, 3)
    ),
    "valid convolution": plain_conv(3),
    "valid strided convolution": plain_conv(3, 2),
    "zero padding": plain_conv(3, padding=1),
    "padding same": plain_conv(3, padding="same"),
    "reflecting convolution": plain_conv(3, padding=1, padding_mode="reflect"),
    "too narrow a border": plain_conv(5, 2, 1, padding_mode="circular"),
    "too wide a border": plain_conv(1, padding=1, padding_mode="circular"),
    "overlapping max pool": lambda m, size: nn.MaxPool2d(3, 2, ceil_mode=m.ceil()),
    "max pool with a border": lambda m, size: nn.MaxPool2d(3, 2, 1),
    "dilated max pool": lambda m, size: nn.MaxPool2d(2, 2, dilation=2),
    "average pool with a border": lambda m, size: nn.AvgPool2d(
        3, 2, 1, count_include_pad=m.rng.random() < 0.5
    ),
    "overlapping average pool": lambda m, size: nn.AvgPool2d(3, 2, ceil_mode=True),
    "positions added": added(where),
    "positions multiplied": added(lambda x: x * where(x)),
    "running sum": added(lambda x: x.cumsum(2)),
    "flip": added(lambda x: x.flip(3)),
    "the corner added": added(corner),
    "the corner of loud maps": added(lambda x: corner(x) * (x.abs() > 10)),
    "channels mixed up with positions": added(
        lambda x: x.reshape(len(x), -1, CHANNELS).mean(1)[..., None, None]
    ),
    "a linear layer over columns": linear_columns,
    "norm with a weight for each position": lambda m, size: nn.LayerNorm([CHANNELS, *size]),
    "max pool after upsampling": lambda m, size: nn.Sequential(
        nn.Upsample(scale_factor=2), nn.MaxPool2d(2)
    ),
    "transposed convolution": lambda m, size: nn.ConvTranspose2d(CHANNELS, CHANNELS, 2, 2),
    "branches of strides 4 and 2, 2": lambda m, size: Step(
        lambda x, f, g: f(x) + g(x), nn.Conv2d(CHANNELS, CHANNELS, 1, 4),
        nn.Sequential(nn.MaxPool2d(2), nn.MaxPool2d(2)),
    ),
}  # fmt: skip
