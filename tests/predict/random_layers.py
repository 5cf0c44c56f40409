"""Layers and blocks of random networks that commute with every circular shift."""

import random

import torch
from torch import nn

from shiftbench.pool import AdaptivePolyphase2d, BlurPool2d, IdealPool2d

CHANNELS, CLASSES = 8, 5


class Step(nn.Module):
    """A function as a layer; ``layers`` are its child modules."""

    def __init__(self, function, *layers):
        super().__init__()
        self.function, self.layers = function, nn.ModuleList(layers)

    def forward(self, x):
        return self.function(x, *self.layers)


class Maker:
    """Draws the parts of one network and records their names."""

    def __init__(self, seed):
        self.rng, self.names = random.Random(seed), set()

    def part(self, kinds, *arguments, name=None):
        """Return a part of one of ``kinds``, a mapping from names to functions."""
        name = name or self.rng.choice(sorted(kinds))
        self.names.add(name)
        return kinds[name](self, *arguments)

    def function(self, kinds):
        """Return one of ``kinds``, a mapping from names to functions, as a layer."""
        return self.part({name: lambda _, f=f: Step(f) for name, f in kinds.items()})

    def chance(self, share, name):
        """Return True with probability ``share``, and record the name if so."""
        happens = self.rng.random() < share
        self.names |= {name} if happens else set()
        return happens

    def conv(self, inputs=CHANNELS, stride=1):
        """Return a convolution with circular padding and outputs of size H / stride."""
        even = stride == 2 and self.chance(0.4, "even kernel")
        kernel = self.rng.choice((2, 4) if even else (1, 3, 5))
        dilation = 2 if kernel == 3 and stride == 1 and self.chance(0.3, "dilation") else 1
        grouped = inputs == CHANNELS and self.chance(0.4, "groups")
        return nn.Conv2d(
            inputs, CHANNELS, kernel, stride, dilation * (kernel - 1) // 2, dilation,
            self.rng.choice((2, 4, 8)) if grouped else 1,
            padding_mode="circular", bias=self.rng.random() < 0.7,
        )  # fmt: skip

    def plain(self):
        """Return a convolution with a norm and an activation, mostly in this order."""
        conv, norm, activation = self.conv(), self.part(NORMS), self.part(ACTIVATIONS)
        if self.chance(0.2, "norm after the activation"):
            return nn.Sequential(conv, activation, norm)
        return nn.Sequential(conv, norm, activation)

    def ceil(self):
        return self.chance(0.3, "ceil_mode")


NORMS = {
    "BatchNorm": lambda m: nn.BatchNorm2d(CHANNELS),
    "GroupNorm": lambda m: nn.GroupNorm(2, CHANNELS),
    "InstanceNorm": lambda m: nn.InstanceNorm2d(CHANNELS, affine=True),
    "LayerNorm over channels": lambda m: Step(
        lambda x, f: f(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), nn.LayerNorm(CHANNELS)
    ),
    "response norm": lambda m: nn.LocalResponseNorm(3),
    "no norm": lambda m: nn.Identity(),
}


ACTIVATIONS = {
    "ReLU": lambda m: nn.ReLU(),
    "in-place ReLU": lambda m: nn.ReLU(inplace=True),
    "GELU": lambda m: nn.GELU(),
    "SiLU": lambda m: nn.SiLU(),
    "tanh": lambda m: nn.Tanh(),
    "functional ReLU": lambda m: Step(lambda x: x.relu()),
}


def attention(x, query, key):
    """Global attention without positions."""
    q, k, v = (t.flatten(2).transpose(1, 2) for t in (query(x), key(x), x))
    mixed = (q @ k.transpose(1, 2) / CHANNELS**0.5).softmax(-1) @ v
    return x + mixed.transpose(1, 2).unflatten(2, x.shape[2:])


def excite(m, gate):
    """A gate from averages over the whole feature map."""
    return Step(gate, nn.Linear(CHANNELS, CHANNELS), nn.AdaptiveAvgPool2d(1), nn.Flatten())


BLOCKS = {  # blocks that commute with every circular shift
    "convolution": lambda m: m.plain(),
    "residual": lambda m: Step(lambda x, f: x + f(x), m.plain()),
    "gating": lambda m: Step(lambda x, f, g: f(x) * g(x).sigmoid(), m.plain(), m.conv()),
    "squeeze-and-excite by layers": lambda m: excite(
        m, lambda x, f, p, g: x * f(g(p(x))).sigmoid()[:, :, None, None]
    ),
    "squeeze-and-excite by mean": lambda m: excite(
        m, lambda x, f, p, g: x * f(x.mean((2, 3))).sigmoid()[..., None, None]
    ),
    "squeeze-and-excite by view": lambda m: excite(
        m, lambda x, f, p, g: x * f(p(x).view(len(x), -1)).sigmoid().reshape(len(x), -1, 1, 1)
    ),
    "two branches, concatenated": lambda m: Step(
        lambda x, f, g: torch.cat([f(x)[:, :3], g(x)[:, 3:]], 1), m.plain(), m.plain()
    ),
    "roll": lambda m: Step(lambda x: x.roll((1, 2), (2, 3))),
    "softmax over positions": lambda m: Step(
        lambda x: x * (1 + x.flatten(2).softmax(-1).unflatten(2, x.shape[2:]))
    ),
    "attention": lambda m: Step(attention, m.conv(), m.conv()),
}


SUBSAMPLING = {  # subsampling that is consistent with circular borders
    "strided convolution": lambda m: m.conv(stride=2),
    "strided convolution and norm": lambda m: nn.Sequential(
        m.conv(stride=2), m.part(NORMS), m.part(ACTIVATIONS)
    ),
    "MaxPool2d(2)": lambda m: nn.MaxPool2d(2, ceil_mode=m.ceil()),
    "MaxPool2d(1, 2)": lambda m: nn.MaxPool2d(1, 2, ceil_mode=m.ceil()),
    "MaxPool2d of one axis": lambda m: nn.MaxPool2d((1, 2)),
    "AvgPool2d(2)": lambda m: nn.AvgPool2d(
        2, ceil_mode=m.ceil(), count_include_pad=m.rng.random() < 0.5,
        divisor_override=3 if m.chance(0.6, "divisor_override") else None,
    ),
    "AvgPool2d((2, 1), 2)": lambda m: nn.AvgPool2d((2, 1), (2, 2)),
    "BlurPool2d": lambda m: BlurPool2d(CHANNELS, padding="circular"),
    "AdaptivePolyphase2d": lambda m: AdaptivePolyphase2d(CHANNELS, padding="circular"),
    "IdealPool2d": lambda m: IdealPool2d(CHANNELS, padding="circular"),
    "two strided branches": lambda m: Step(
        lambda x, f, g: f(x) + g(x), m.conv(stride=2), nn.AvgPool2d(2)
    ),
    "patches": lambda m: nn.Conv2d(CHANNELS, CHANNELS, 4, 4),
}  # fmt: skip
