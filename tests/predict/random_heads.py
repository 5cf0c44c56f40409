"""Read-outs of random networks, with and without positions."""

import torch
from position_traps import where
from random_layers import CHANNELS, CLASSES, Step
from torch import nn

from shiftbench.head.flatten import FlattenHead
from shiftbench.head.pyramid import PyramidHead


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
