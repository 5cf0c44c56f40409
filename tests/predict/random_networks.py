"""Random networks and images, circular or not, as adversarial tests of the dense engine.

A network consists of steps, a read-out and a transformation of the logits. All of them are drawn
from a number, and the same number gives the same network on every machine. Networks of even number
are valid: all steps have circular borders, and subsampling is done by layers. Networks of odd
number contain one trap, of each kind in turn: a step that violates these conditions, or a step or
read-out in code that depends on positions. Weights, logits and images may conceal the trap.
"""

import random
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from shiftbench.errors import ShiftbenchError
from shiftbench.head.flatten import FlattenHead
from shiftbench.head.pyramid import PyramidHead
from shiftbench.pool import AdaptivePolyphase2d, BlurPool2d, IdealPool2d

CHANNELS, CLASSES = 8, 5
SIZES = ((8, 8), (8, 8), (8, 8), (8, 16), (16, 16))


@dataclass(frozen=True)
class Drawn:
    """A network in eval mode, images for it, and the names of their components."""

    network: nn.Module
    images: torch.Tensor
    holds: bool
    names: frozenset[str]


class Step(nn.Module):
    """A function as a layer; ``layers`` are its child modules."""

    def __init__(self, function, *layers):
        super().__init__()
        self.function, self.layers = function, nn.ModuleList(layers)

    def forward(self, x):
        return self.function(x, *self.layers)


class Network(nn.Module):
    """Steps, then a read-out, then a transformation of the logits."""

    def __init__(self, steps, head, last):
        super().__init__()
        self.steps, self.head, self.last = nn.Sequential(*steps), head, last

    def forward(self, x):
        return self.last(self.head(self.steps(x)))


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


def averaged(function, inputs=1):
    """A read-out that is independent of positions: ``function``, then a linear layer."""
    return lambda m, size: Step(lambda x, f: f(function(x)), nn.Linear(inputs * CHANNELS, CLASSES))


def all_of(function):
    """A read-out of all values: ``function`` flattens them, then a linear layer."""
    return lambda m, size: Step(
        lambda x, f: f(function(x)), nn.Linear(CHANNELS * size[0] * size[1], CLASSES)
    )


def einsum(m, size):
    weight = torch.randn(CLASSES, CHANNELS, *size, generator=torch.Generator().manual_seed(3))
    return Step(lambda x: torch.einsum("nchw,kchw->nk", x, weight.to(x)))


HEADS = {  # independent of positions, or position-dependent by known layers
    "mean": averaged(lambda x: x.mean((2, 3))),
    "maximum": averaged(lambda x: x.amax((2, 3))),
    "logsumexp": averaged(lambda x: x.flatten(2).logsumexp(2)),
    "mean and deviation": averaged(lambda x: torch.cat([x.mean((2, 3)), x.std((2, 3))], 1), 2),
    "AdaptiveAvgPool2d(1)": lambda m, size: nn.Sequential(
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(CHANNELS, CLASSES)
    ),
    "AdaptiveMaxPool2d(1)": lambda m, size: nn.Sequential(
        nn.AdaptiveMaxPool2d((1, 1)), nn.Flatten(), nn.Linear(CHANNELS, CLASSES)
    ),
    "classes, then average": lambda m, size: nn.Sequential(
        nn.Conv2d(CHANNELS, CLASSES, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    ),
    "Flatten": lambda m, size: nn.Sequential(
        nn.Flatten(), nn.Linear(CHANNELS * size[0] * size[1], CLASSES)
    ),
    "FlattenHead": lambda m, size: FlattenHead(CHANNELS, size, CLASSES),
    "AdaptiveAvgPool2d(2)": lambda m, size: nn.Sequential(
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * CHANNELS, CLASSES)
    ),
    "PyramidHead": lambda m, size: PyramidHead(CHANNELS, size, CLASSES, levels=(1, 2)),
}

POSITIONS = {  # read-outs that depend on positions by code
    "torch.flatten": all_of(lambda x: torch.flatten(x, 1)),
    "view": all_of(lambda x: x.contiguous().view(len(x), -1)),
    "reshape": all_of(lambda x: x.reshape(x.shape[0], -1)),
    "einsum": einsum,
    "one pixel": averaged(lambda x: x[:, :, 0, 0]),
    "one row": averaged(lambda x: x[:, :, :1].mean((2, 3))),
    "one row's maximum": averaged(lambda x: x[:, :, -1, :].amax(-1)),
    "the first of a flat map": averaged(lambda x: x.flatten(2)[..., 0]),
    "where the maximum is": averaged(
        lambda x: x.flatten(1).argmax(1)[:, None].to(x) * x.mean((2, 3))
    ),
    "a weighted mean": averaged(lambda x: (x * (1 + 0.01 * where(x))).mean((2, 3))),
}


def mask(value):
    return lambda z: z.index_fill(1, torch.tensor([3, 4]), value)


LAST = {  # transformations of the logits
    "masked with -1e4": mask(-1e4),
    "masked with -1e9": mask(-1e9),
    "masked with -inf": mask(-torch.inf),
    "one class wins": lambda z: z.index_fill(1, torch.tensor([2]), 1e4),
    "1e9 subtracted": lambda z: z - 1e9 * torch.tensor([0, 0, 0, 1, 1]).to(z),
    "log-softmax": lambda z: z.log_softmax(1),
    "softmax": lambda z: z.softmax(1),
    "tiny": lambda z: 1e-8 * z,
    "times a million": lambda z: 1e6 * z,
    "times 1e30": lambda z: 1e30 * z,
    "overflow": lambda z: 1e38 * (10 * z),
    "100 added": lambda z: z + 100,
    "ReLU of the logits": lambda z: z.relu(),
    "classes of several scales": lambda z: z * torch.tensor([1e-6, 1e3, 1, 1, 1]).to(z),
}


def blank(x, value):
    return torch.cat([torch.full_like(x[:4], value), x[4:]])


def impulse(x):
    y = torch.zeros_like(x)
    y[:, :, 1, 2] = 1
    return y


IMAGES = {
    "black images first": lambda x: blank(x, 0.0),
    "white images first": lambda x: blank(x, 1.0),
    "one pixel lit": impulse,
    "grey images": lambda x: torch.full_like(x, 0.5),
    "black images": torch.zeros_like,
    "images of one colour": lambda x: x.mean((2, 3), keepdim=True).expand_as(x).clone(),
    "rows of one colour": lambda x: x.mean(3, keepdim=True).expand_as(x).clone(),
    "images times 100": lambda x: 100 * x,
    "images in bytes": lambda x: (255 * x).byte(),
    "images around 0": lambda x: x - 0.5,
}


def draw(number, attempt=0):
    """Return network ``number`` and its images."""
    try:
        return _drawn(number, Maker(f"{number} {attempt}"))
    except (RuntimeError, ValueError, ShiftbenchError):  # a feature map became too small
        return draw(number, attempt + 1)


def _drawn(number, m):
    torch.manual_seed(number)
    size = m.rng.choice(SIZES)
    steps = [nn.Sequential(m.conv(3), m.part(ACTIVATIONS))]
    steps += [m.part(BLOCKS) for _ in range(m.rng.randrange(3))]
    for _ in range(m.rng.randrange(3)):
        steps += [m.part(SUBSAMPLING), *(m.part(BLOCKS) for _ in range(m.rng.randrange(2)))]
    heads, trap = HEADS, None
    if number % 2:
        trap = sorted({**TRAPS, **POSITIONS})[number // 2 % len({**TRAPS, **POSITIONS})]
        heads = POSITIONS if trap in POSITIONS else HEADS
    if trap in TRAPS:
        place = m.rng.randrange(1, len(steps) + 1)
        steps.insert(place, m.part(TRAPS, _size(steps[:place], size), name=trap))
    head = m.part(heads, _size(steps, size), name=trap if heads is POSITIONS else None)
    last = m.function(LAST) if m.chance(0.5, "logits changed") else nn.Identity()
    network = _trained(Network(steps, head, last).eval(), m, size)
    images = torch.rand(5, 3, *size, generator=torch.Generator().manual_seed(number))
    if m.chance(0.6, "images changed"):
        images = m.function(IMAGES)(images)
    if m.chance(0.1, "float64"):
        network = network.double()
    with torch.inference_mode():
        network(images.to(next(network.parameters()).dtype))
    return Drawn(network, images, trap is None, frozenset(m.names))


@torch.inference_mode()
def _size(steps, size):
    """Return the size of the feature map after ``steps``."""
    return tuple(nn.Sequential(*steps).eval()(torch.zeros(1, 3, *size)).shape[2:])


@torch.no_grad()
def _trained(network, m, size):
    """Imitate training: BatchNorm statistics, different classes for images, dead units."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.uniform_(module.running_var, 0.05, 2)
            nn.init.normal_(module.bias, std=0.3)
    linear = [x for x in network.head.modules() if isinstance(x, nn.Linear | nn.Conv2d)]
    if linear and m.chance(0.7, "classes that differ between images"):
        linear[-1].weight *= 30
        x = torch.rand(16, 3, *size, generator=torch.Generator().manual_seed(9))
        linear[-1].bias -= network.head(network.steps(x)).mean(0)
    if m.chance(0.1, "dead units"):
        for module in network.steps.modules():
            if isinstance(module, nn.Conv2d) and module.bias is not None:
                module.bias += m.rng.choice((-100.0, -3.0))
    if m.chance(0.1, "huge weights"):
        network.steps[0][0].weight *= 1e4
    return network
