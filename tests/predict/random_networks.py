"""Random networks and images, circular or not, as adversarial tests of the dense engine.

A network consists of steps, a read-out and a transformation of the logits. All of them are drawn
from a number, and the same number gives the same network on every machine. Networks of even number
are valid: all steps have circular borders, and subsampling is done by layers. Networks of odd
number contain one trap, of each kind in turn: a step that violates these conditions, or a step or
read-out in code that depends on positions. Weights, logits and images may conceal the trap.
"""

from dataclasses import dataclass

import torch
from position_traps import TRAPS
from random_heads import HEADS, POSITIONS
from random_layers import ACTIVATIONS, BLOCKS, SUBSAMPLING, Maker
from torch import nn

from shiftbench.errors import ShiftbenchError

SIZES = ((8, 8), (8, 8), (8, 8), (8, 16), (16, 16))


@dataclass(frozen=True)
class Drawn:
    """A network in eval mode, images for it, and the names of their components."""

    network: nn.Module
    images: torch.Tensor
    holds: bool
    names: frozenset[str]


class Network(nn.Module):
    """Steps, then a read-out, then a transformation of the logits."""

    def __init__(self, steps, head, last):
        super().__init__()
        self.steps, self.head, self.last = nn.Sequential(*steps), head, last

    def forward(self, x):
        return self.last(self.head(self.steps(x)))


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
