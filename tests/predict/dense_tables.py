"""Circular networks, and their tables by both engines."""

import numpy as np
import pytest
import torch
from torch import nn

from shiftbench.api import measure
from shiftbench.shift.circular import Circular

SMALL = (8, 8)
FLOATS = ("p_top1", "p_base", "p_previous", "p_true", "logit_change", "logit_scale")


def network(model, pool, head, size=(16, 16), **more):
    torch.manual_seed(0)
    return model(5, 3, size, pool, head, "circular", width=4, **more).eval()


def inputs(size=(16, 16), count=3, channels=3):
    return torch.rand(count, channels, *size, generator=torch.Generator().manual_seed(1))


def tables(net, images, protocol=Circular(sampling="all"), **more):  # noqa: B008
    labels = torch.arange(len(images)) % 3
    return [
        measure(net, images, labels, protocol, engine=engine, resamples=10, **more).predictions
        for engine in ("dense", "direct")
    ]


def assert_same(dense, direct, atol=2e-5):
    assert (dense.meta["engine"], direct.meta["engine"]) == ("dense", "direct")
    assert (dense.top1 == direct.top1).all()
    assert (dense.rank_true == direct.rank_true).all()
    for name in ("shifts", "sampled", "previous", "labels"):
        assert (getattr(dense, name) == getattr(direct, name)).all()
    for name in FLOATS:
        np.testing.assert_allclose(getattr(dense, name), getattr(direct, name), rtol=0, atol=atol)


class Net(nn.Sequential):
    """A circular convolution, given layers, and a global average."""

    def __init__(self, *layers, channels=3):
        torch.manual_seed(0)
        conv = nn.Conv2d(3, channels, 3, padding=1, padding_mode="circular")
        super().__init__(conv, *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def from_torchvision(name):
    """An untrained network, in float64 except for resnet18: others amplify rounding errors."""
    models = pytest.importorskip("torchvision.models")
    torch.manual_seed(0)
    net = models.get_model(name, weights=None, num_classes=5).eval()
    return net if name == "resnet18" else net.double()
