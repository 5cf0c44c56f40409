"""Random networks and random data, on a torus or not, that try to get past the dense engine.

A network is a list of steps, drawn by number: the same number is the same network everywhere. About
half hold (every step lies on a torus), the others have one step that does not, or a read-out that
knows positions; some hide it: dead units, weak branches, masked classes, data without content.
Used by the tests and by ``benchmarks/fuzz_dense.py``.
"""

import random

import torch
import torch.nn.functional as F
from torch import nn

from shiftbench.api import measure
from shiftbench.head.flatten import FlattenHead
from shiftbench.head.pyramid import PyramidHead
from shiftbench.pool import AdaptivePolyphase2d, BlurPool2d, IdealPool2d
from shiftbench.shift.circular import Circular

CHANNELS, CLASSES = 8, 5
NEAR = 1e-3  # share of the spread of the logits: closer ones may be answered either way


class Step(nn.Module):
    """A function as a layer; ``layers`` are its children."""

    def __init__(self, function, *layers):
        super().__init__()
        self.function, self.layers = function, nn.ModuleList(layers)

    def forward(self, x):
        return self.function(x, *self.layers)


class Network(nn.Module):
    """Steps, then a read-out, then what becomes of the logits."""

    def __init__(self, steps, head, last):
        super().__init__()
        self.steps, self.head, self.last = nn.Sequential(*steps), head, last

    def forward(self, x):
        return self.last(self.head(self.steps(x)))


def conv(rng, inputs=CHANNELS, outputs=CHANNELS, stride=1):
    """A convolution on a torus, with a border that leaves H / stride."""
    kernel = rng.choice((1, 2, 4) if stride == 2 and rng.random() < 0.4 else (1, 3, 5))
    dilation = rng.choice((1, 1, 2)) if kernel == 3 and stride == 1 else 1
    reach = dilation * (kernel - 1)
    groups = rng.choice((1, 1, 2, 4)) if inputs == outputs == CHANNELS else 1
    return nn.Conv2d(inputs, outputs, kernel, stride, reach // 2, dilation, groups,
                     padding_mode="circular", bias=rng.random() < 0.7)  # fmt: skip


def norm(rng):
    return rng.choice((
        lambda: nn.BatchNorm2d(CHANNELS), lambda: nn.GroupNorm(2, CHANNELS),
        lambda: nn.InstanceNorm2d(CHANNELS, affine=True),
        lambda: Step(lambda x, n: n(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2),
                     nn.LayerNorm(CHANNELS)),
        nn.Identity,
    ))()  # fmt: skip


def activation(rng):
    return rng.choice((nn.ReLU, lambda: nn.ReLU(inplace=True), nn.GELU, nn.SiLU, nn.Tanh,
                       lambda: Step(lambda x: x.relu()), nn.Hardswish))()  # fmt: skip


def block(rng):
    """Something that commutes with every circular shift."""

    def plain():
        order = [conv(rng), norm(rng), activation(rng)]
        if rng.random() < 0.2:
            order = [order[0], order[2], order[1]]
        return nn.Sequential(*order)

    def excite():
        layers = [nn.Linear(CHANNELS, CHANNELS), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        return rng.choice((
            Step(lambda x, f, p, g: x * f(g(p(x))).sigmoid()[:, :, None, None], *layers),
            Step(lambda x, f: x * f(x.mean((2, 3))).sigmoid()[..., None, None], layers[0]),
            Step(lambda x, f, p: x * f(p(x).view(len(x), -1)).sigmoid().reshape(len(x), -1, 1, 1),
                 *layers[:2]),
        ))  # fmt: skip

    return rng.choice((
        plain, plain, plain, excite,
        lambda: Step(lambda x, f: x + f(x), plain()),
        lambda: Step(lambda x, f, g: f(x) * g(x).sigmoid(), plain(), conv(rng)),
        lambda: Step(lambda x, f, g: torch.cat([f(x)[:, :3], g(x)[:, 3:]], 1), plain(), plain()),
        lambda: Step(lambda x: x.roll((1, 2), (2, 3))),
        lambda: Step(lambda x: x * (x.flatten(2).softmax(-1).unflatten(2, x.shape[2:]) + 1)),
        lambda: Step(lambda x, f: f(F.pad(x, (1, 1, 1, 1), "circular")),
                     nn.Sequential(nn.Conv2d(CHANNELS, CHANNELS, 3))),
    ))()  # fmt: skip


def subsampling(rng):
    """A step of stride 2 whose samples all lie on the torus."""
    ceil = rng.random() < 0.3
    return rng.choice((
        lambda: conv(rng, stride=2),
        lambda: nn.Sequential(conv(rng, stride=2), norm(rng), activation(rng)),
        lambda: nn.MaxPool2d(2, ceil_mode=ceil),
        lambda: nn.MaxPool2d(1, 2, ceil_mode=ceil),
        lambda: nn.AvgPool2d(2, ceil_mode=ceil, count_include_pad=rng.random() < 0.5,
                             divisor_override=rng.choice((None, 1, 3))),
        lambda: nn.AvgPool2d((2, 1), (2, 2)),
        lambda: BlurPool2d(CHANNELS, padding="circular"),
        lambda: AdaptivePolyphase2d(CHANNELS, padding="circular"),
        lambda: IdealPool2d(CHANNELS, padding="circular"),
        lambda: Step(lambda x, f, g: f(x) + g(x), conv(rng, stride=2), nn.AvgPool2d(2)),
    ))()  # fmt: skip


def grid(size, scale):
    """A map that tells positions apart, by so much."""
    generator = torch.Generator().manual_seed(5)
    return scale * torch.rand(1, CHANNELS, *size, generator=generator)


def trap(rng, size):
    """A step that does not lie on a torus, though it may look so."""
    weak = rng.choice((1.0, 1e-2, 1e-4))
    half = (size[0] // 2, size[1] // 2)
    position = grid(size, weak)
    return rng.choice((
        lambda: Step(lambda x: F.max_pool2d(x, 2)),
        lambda: Step(lambda x: F.avg_pool2d(x, 2)),
        lambda: Step(lambda x: x[:, :, ::2, ::2]),
        lambda: Step(lambda x: x[:, :, 1:, :]),
        lambda: Step(lambda x: x[:, :, : half[0], : half[1]] + x[:, :, half[0] :, half[1] :]),
        lambda: Step(lambda x: F.interpolate(x, half, mode="bilinear")),
        lambda: Step(lambda x: F.pixel_unshuffle(x, 2)[:, ::4]),
        lambda: Step(lambda x, f: f(F.pixel_unshuffle(x, 2)), nn.Conv2d(4 * CHANNELS, CHANNELS, 1)),
        lambda: Step(lambda x: F.adaptive_avg_pool2d(x, half)),
        lambda: nn.Conv2d(CHANNELS, CHANNELS, 3),
        lambda: nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1),
        lambda: nn.Conv2d(CHANNELS, CHANNELS, 3, padding="same"),
        lambda: nn.Conv2d(CHANNELS, CHANNELS, 3, 2),
        lambda: nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, padding_mode="reflect"),
        lambda: nn.Conv2d(CHANNELS, CHANNELS, 5, 2, 1, padding_mode="circular"),
        lambda: nn.Conv2d(CHANNELS, CHANNELS, 1, padding=1, padding_mode="circular"),
        lambda: nn.MaxPool2d(3, 2, ceil_mode=rng.random() < 0.5),
        lambda: nn.MaxPool2d(3, 2, 1),
        lambda: nn.MaxPool2d(2, 2, dilation=2),
        lambda: nn.AvgPool2d(3, 2, 1, count_include_pad=rng.random() < 0.5),
        lambda: nn.AvgPool2d(3, 2, ceil_mode=True, divisor_override=rng.choice((None, 2))),
        lambda: Step(lambda x: x + position.to(x)),
        lambda: Step(lambda x: x * (1 + position.to(x))),
        lambda: Step(lambda x: x + weak * x.cumsum(2)),
        lambda: Step(lambda x: x + weak * x.flip(3)),
        lambda: Step(lambda x: x + weak * x[:, :, :1, :1]),
        lambda: Step(lambda x: x + weak * x.reshape(len(x), -1, CHANNELS).mean(1)[..., None, None]),
        lambda: Step(lambda x, f: x + weak * f(x).relu(), dead(nn.Linear(size[1], size[1]))),
        lambda: nn.Sequential(nn.Upsample(scale_factor=2), nn.MaxPool2d(2)),
        lambda: nn.ConvTranspose2d(CHANNELS, CHANNELS, 2, 2),
        lambda: Step(lambda x, f, g: f(x) + g(x), nn.Conv2d(CHANNELS, CHANNELS, 1, 4),
                     nn.Sequential(nn.MaxPool2d(2), nn.MaxPool2d(2))),
    ))()  # fmt: skip


def dead(linear):
    """Weights that hide what the layer does, for small inputs."""
    nn.init.constant_(linear.bias, -30.0)
    return linear


def head(rng, channels, size):
    """A read-out that ignores positions, or one that is a layer that knows them."""
    area = channels * size[0] * size[1]
    choices = [
        lambda: Step(lambda x, f: f(x.mean((2, 3))), nn.Linear(channels, CLASSES)),
        lambda: Step(lambda x, f: f(x.amax((2, 3))), nn.Linear(channels, CLASSES)),
        lambda: Step(lambda x, f: f(x.flatten(2).logsumexp(2)), nn.Linear(channels, CLASSES)),
        lambda: Step(lambda x, f: f(x.std((2, 3))), nn.Linear(channels, CLASSES)),
        lambda: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, CLASSES)),
        lambda: nn.Sequential(nn.AdaptiveMaxPool2d((1, 1)), nn.Flatten(),
                              nn.Linear(channels, CLASSES)),
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(area, CLASSES)),
        lambda: FlattenHead(channels, size, CLASSES),
        lambda: nn.Sequential(nn.Conv2d(channels, CLASSES, 1), nn.AdaptiveAvgPool2d(1),
                              nn.Flatten()),
    ]  # fmt: skip
    if min(size) >= 2:
        choices += [
            lambda: nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(),
                                  nn.Linear(4 * channels, CLASSES)),
            lambda: PyramidHead(channels, size, CLASSES, levels=(1, 2)),
        ]  # fmt: skip
    return rng.choice(choices)()


def position_aware_head(rng, channels, size):
    """A read-out that knows positions, in code and not in a layer."""
    area = channels * size[0] * size[1]
    linear, small = nn.Linear(area, CLASSES), nn.Linear(channels, CLASSES)
    weight = torch.randn(CLASSES, channels, *size, generator=torch.Generator().manual_seed(3))
    return rng.choice((
        lambda: Step(lambda x, f: f(torch.flatten(x, 1)), linear),
        lambda: Step(lambda x, f: f(x.view(len(x), -1)), linear),
        lambda: Step(lambda x, f: f(x.reshape(x.shape[0], -1)), linear),
        lambda: Step(lambda x: torch.einsum("nchw,kchw->nk", x, weight.to(x))),
        lambda: Step(lambda x, f: f(x[:, :, 0, 0]), small),
        lambda: Step(lambda x, f: f(x[:, :, :1].mean((2, 3))), small),
        lambda: Step(lambda x, f: f(x[:, :, -1, :].amax(-1)), small),
        lambda: Step(lambda x, f: f(x.flatten(2)[..., 0]), small),
        lambda: Step(lambda x, f: f(x.flatten(1).argmax(1)[:, None].to(x) * x.mean((2, 3))), small),
    ))()  # fmt: skip


def last(rng):
    """What becomes of the logits: mostly nothing, or masks and scales that hide differences."""
    masked = torch.tensor([3, 4])
    choices = [
        lambda z: z.index_fill(1, masked, -1e4), lambda z: z.index_fill(1, masked, -1e9),
        lambda z: z.index_fill(1, masked, -torch.inf), lambda z: z.index_fill(1, masked, 1e4),
        lambda z: z - 1e9 * torch.tensor([0, 0, 0, 1, 1]).to(z), lambda z: z.log_softmax(1),
        lambda z: 1e-8 * z, lambda z: 1e6 * z, lambda z: z + 100, lambda z: z.softmax(1),
        lambda z: 1e30 * z, lambda z: 1e38 * (10 * z), lambda z: z.relu(),
        lambda z: torch.cat([z[:, :1] * 1e-6, z[:, 1:2] * 1e3, z[:, 2:]], 1),
    ]  # fmt: skip
    return Step((lambda z: z) if rng.random() < 0.5 else rng.choice(choices))


def draw(number, size=(8, 8)):
    """Return network ``number``, and whether it is meant to hold."""
    rng = random.Random(number)
    torch.manual_seed(number)
    holds = rng.random() < 0.5
    steps = [nn.Sequential(conv(rng, 3), activation(rng))]
    steps += [block(rng) for _ in range(rng.randrange(3))]
    kinds = [subsampling(rng) for _ in range(rng.randrange(3))]
    for step in kinds:
        steps += [step, *(block(rng) for _ in range(rng.randrange(2)))]
    in_head = not holds and rng.random() < 0.3
    if not holds and not in_head:
        steps.insert(rng.randrange(1, len(steps) + 1), trap(rng, size))
    with torch.inference_mode():
        seen = nn.Sequential(*steps).eval()(torch.zeros(1, 3, *size))
    chosen = position_aware_head if in_head else head
    read = chosen(rng, seen.shape[1], tuple(seen.shape[2:]))
    return spread(Network(steps, read, last(rng)), rng, size).eval(), holds


def spread(net, rng, size):
    """Give BatchNorm statistics, make classes differ between images, or let units die."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.uniform_(module.running_var, 0.05, 2)
            nn.init.normal_(module.bias, std=0.3)
    net.eval()
    linear = [m for m in net.head.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    with torch.no_grad():
        if linear:
            linear[-1].weight *= 30
            x = torch.rand(16, 3, *size, generator=torch.Generator().manual_seed(9))
            linear[-1].bias -= net.head(net.steps(x)).mean(0)
        if rng.random() < 0.1:
            kind = rng.choice((-100.0, -3.0))
            for module in net.steps.modules():
                if isinstance(module, nn.Conv2d) and module.bias is not None:
                    module.bias += kind
    return net


def data(number, size=(8, 8), count=5):
    """Return images ``(count, 3, *size)``: noise, or something with little content."""
    rng = random.Random(f"data {number}")
    x = torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(number))
    blank = x.clone()
    blank[:4] = rng.choice((0.0, 1.0))
    impulse = torch.zeros_like(x)
    impulse[:, :, 1, 2] = 1
    choices = [x, x, x, blank, impulse, torch.full_like(x, 0.5), torch.zeros_like(x), 100 * x,
               (255 * x).byte(), x.mean((2, 3), keepdim=True).expand_as(x).clone(), x - 0.5]  # fmt: skip
    return rng.choice(choices)


class Wrong(AssertionError):
    """A table that is not what running every view gives."""


def every_view(net, images, shifts):
    """Return the logits ``(N, K, C)`` of every view, one plain pass for each shift."""
    pixels = images.float() / 255 if images.dtype == torch.uint8 else images
    with torch.inference_mode():
        views = [net(pixels.roll((int(dy), int(dx)), (2, 3))) for dy, dx in shifts]
    return torch.stack(views, 1)


def compare(net, images, table):
    """Raise unless the table's answers and changes are those of every view, near-ties apart."""
    logits = every_view(net, images, table.shifts).double()
    top1 = torch.from_numpy(table.top1).long()
    failed = logits.isnan().any(-1) | (logits.amax(-1) == -torch.inf)
    if not torch.equal(failed, top1 < 0):
        raise Wrong("answers that are none")
    usual = torch.where(logits.isfinite() & (logits.abs() < 5e8), logits, torch.nan)
    high, low = (usual.nan_to_num(v, v, v) for v in (-torch.inf, torch.inf))
    width = (high.amax(-1) - low.amin(-1)).amax(1, keepdim=True)
    largest = usual.abs().nan_to_num(0).amax((1, 2))[:, None]
    near = (NEAR * width + 1e-5 * largest).nan_to_num(0, 0, 0)
    answered = logits.gather(-1, top1.clamp(min=0)[..., None]).squeeze(-1)
    wrong = ~failed & ~(answered >= logits.amax(-1) - near)
    if bool(wrong.any()):
        raise Wrong(f"{int(wrong.sum())} of {wrong.numel()} answers")
    moved = (usual - usual[:, :1]).abs().nan_to_num(0).amax(-1)
    change = torch.from_numpy(table.logit_change).double()
    comparable = change.isfinite() & (largest < 1e4) & usual.isfinite().all(-1)
    if bool((comparable & ((change - moved).abs() > 2 * near)).any()):
        raise Wrong("changes of the logits")


def exact(table):
    """Return which views have the logits of the base view."""
    return table.logit_change <= table.meta["logit_tolerance"] * table.logit_scale[:, None]


def attempt(number, size=(8, 8)):
    """Measure network ``number``; return its engine and whether it is meant to hold.

    Raises:
        Wrong: If the table is not what every view gives, or the engines call different shifts
            exact.
    """
    (net, holds), images = draw(number, size), data(number, size)
    labels = torch.zeros(len(images), dtype=torch.long)
    protocol = Circular(sampling="all")
    table = measure(net, images, labels, protocol, resamples=0).predictions
    compare(net, images, table)
    if table.meta["engine"] == "dense":
        direct = measure(net, images, labels, protocol, engine="direct", resamples=0).predictions
        if (exact(table) != exact(direct)).mean() > 0:
            raise Wrong("the engines call different shifts exact")
    return table.meta["engine"], holds
