"""Helpers of the tests of surgery: logits before and after, and on a torus."""

import functools
import re

import torch
from torch import nn

from shiftbench.pool import BlurPool2d

ONE_TAP = functools.partial(BlurPool2d, filter_size=1)
SHAPE = (3, 32, 32)


class EverySth2d(nn.Module):
    """Plain subsampling, as a pool that selects its grid, also behind averages."""

    max_first = True

    def __init__(self, channels, stride=2, padding="zeros"):
        super().__init__()
        self.stride = stride

    def phase(self, x):
        return torch.zeros(len(x), dtype=torch.long)

    def forward(self, x, phase=None):
        return x[:, :, :: self.stride, :: self.stride]


def head(channels, classes=5):
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes)]


def conv(in_channels=8, stride=1, kernel=3, **settings):
    return nn.Conv2d(in_channels, 8, kernel, stride, kernel // 2, **settings)


def network(*layers, channels=8):
    """Return ``layers`` behind which a global head follows; ``channels`` is what they leave."""
    return nn.Sequential(*layers, *head(channels)).eval()


class Chain(nn.Module):
    """A network whose ``run(self, x)`` is given, with a global head behind it."""

    def __init__(self, run, channels=8, **layers):
        super().__init__()
        self.run = run
        for name, layer in layers.items():
            self.add_module(name, layer)
        self.head = nn.Sequential(*head(channels))
        self.eval()

    def forward(self, x):
        return self.head(self.run(self, x))


def images(shape, count=2, seed=1):
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(seed))


def with_statistics(net):
    """Give norms that keep statistics some, and scales and biases that are not 1 and 0."""
    generator = torch.Generator().manual_seed(2)
    for module in net.modules():
        if isinstance(getattr(module, "running_mean", None), torch.Tensor):
            module.running_mean.normal_(generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
    return net


@torch.no_grad()
def difference(one, other):
    """Return how far two batches' logits differ, relative to how far those of two images do."""
    spread = (other[0] - other[1]).abs().max()
    assert spread > 1e-7 * other.abs().max(), "the logits do not depend on the image"
    return float((one - other).abs().max() / spread)


@torch.no_grad()
def moved(net, x, shift):
    """Return by how much circular shifts by ``shift`` pixels change the logits."""
    logits = net(x)
    steps = ((shift, 0), (0, shift), (shift, shift))
    return max(difference(net(x.roll(step, (2, 3))), logits) for step in steps)


def names_a_layer(message, net):
    """Return whether a message names a module of the network."""
    names = [name for name, _ in net.named_modules() if name]
    found = any(re.search(rf"(?<![\w.]){re.escape(name)}(?![\w.]*\w)", message) for name in names)
    return found or f"the network ({type(net).__name__})" in message or "the network:" in message
