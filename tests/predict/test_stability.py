"""Whether the answer for an image depends on the image alone."""

import logging
import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from shiftbench.api import measure
from shiftbench.data.images import TensorSplit
from shiftbench.errors import ShiftbenchError
from shiftbench.predict.noise import spread_images
from shiftbench.predict.pixel_model import PixelModel
from shiftbench.predict.stability import stability

BATCH, CHANCE = "the other images of the batch", "chance"


class Net(nn.Module):
    """Two convolutions with a given layer between them, then a global average."""

    def __init__(self, between=nn.Identity):
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 8, 3, padding=1, padding_mode="circular")
        self.between = between()
        self.second = nn.Conv2d(8, 4, 1)

    def forward(self, x):
        return self.second(self.between(self.first(x)).relu()).mean((2, 3))


class Code(nn.Module):
    """A function as a layer."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def depth(x):
    """Stochastic depth with a random generator other than torch's."""
    return x * 2 if random.random() < 0.5 else x


def noisy(x):
    return x + torch.from_numpy(np.random.normal(size=(1,))).to(x)  # noqa: NPY002


def images(count=6, value=None):
    x = torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    return x if value is None else torch.full_like(x, value)


def found(between, pixels=None):
    return stability_of(Net(between), images() if pixels is None else pixels).reasons


def stability_of(net, pixels):
    network = PixelModel(net.eval(), [0.5] * 3, [0.25] * 3, torch.device("cpu"))
    labels = torch.zeros(len(pixels), dtype=torch.long)
    return stability(network, spread_images(TensorSplit(pixels, labels), 4))


STEADY = {
    "nothing": nn.Identity,
    "dropout": nn.Dropout,
    "batch norm": lambda: nn.BatchNorm2d(8),
    "group norm": lambda: nn.GroupNorm(2, 8),
    "instance norm": lambda: nn.InstanceNorm2d(8),
    "functional dropout that is off": lambda: Code(lambda x: F.dropout(x, 0.5, training=False)),
}
UNSTEADY = {
    "batch norm without statistics": (lambda: nn.BatchNorm2d(8, track_running_stats=False), BATCH),
    "functional batch norm": (lambda: Code(lambda x: F.batch_norm(x, None, None, training=True)),
                              BATCH),
    "the batch's mean": (lambda: Code(lambda x: x - x.mean(0, keepdim=True)), BATCH),
    "the batch's maximum": (lambda: Code(lambda x: x / x.abs().amax()), BATCH),
    "the batch's size": (lambda: Code(lambda x: x / len(x)), BATCH),
    "functional dropout": (lambda: Code(lambda x: F.dropout(x, 0.5)), CHANCE),
    "noise": (lambda: Code(lambda x: x + torch.randn_like(x)), CHANCE),
    "noise of numpy": (lambda: Code(noisy), CHANCE),
    "stochastic depth": (lambda: Code(depth), CHANCE),
    "random order that changes nothing": (lambda: Code(lambda x: x[:, torch.randperm(8).sort()[1]]),
                                          CHANCE),
}  # fmt: skip


@pytest.mark.parametrize("between", STEADY.values(), ids=STEADY)
def test_what_depends_on_nothing_else(between):
    assert found(between) == []


@pytest.mark.parametrize(("between", "reason"), UNSTEADY.values(), ids=UNSTEADY)
def test_what_depends_on_the_batch_or_on_chance(between, reason):
    assert found(between) == [reason]


@pytest.mark.parametrize("value", [0.0, 1.0, 0.5])
@pytest.mark.parametrize("name", ["batch norm without statistics", "functional dropout"])
def test_blank_images_hide_nothing(name, value):
    """The check also uses images of noise."""
    between, reason = UNSTEADY[name]
    assert found(between, images(value=value)) == [reason]


def test_one_image_alone_is_enough():
    assert found(nn.Identity, images(1)) == []
    assert found(UNSTEADY["the batch's mean"][0], images(1)) == [BATCH]


def test_random_states_are_seen_not_restored_by_luck():
    """A random draw is detected even if the answers are equal."""
    assert found(lambda: Code(lambda x: x + 0 * torch.rand(1))) == [CHANCE]


@pytest.mark.parametrize("name", ["batch norm without statistics", "functional dropout"])
def test_it_is_said_and_the_dense_engine_is_not_used(name, package_log):
    between, reason = UNSTEADY[name]
    with package_log.at_level(logging.WARNING, logger="shiftbench"):
        table = measure(Net(between), images(), [0] * 6, "circular", resamples=2).predictions
    assert table.meta["engine"] == "direct"
    key = "depends_on_batch" if reason == BATCH else "depends_on_chance"
    assert table.meta[key] is True
    assert f"also depends on {reason}" in package_log.text
    with pytest.raises(ShiftbenchError, match=f"its answers depend on {reason}"):
        measure(Net(between), images(), [0] * 6, "circular", engine="dense")


def test_a_steady_network_leaves_no_note():
    table = measure(Net(), images(), [0] * 6, "translate", resamples=2).predictions
    assert not {"depends_on_batch", "depends_on_chance"} & set(table.meta)


def test_a_network_that_takes_no_single_image_is_refused():
    class Vector(nn.Module):
        """BatchNorm whose statistics are always those of the batch."""

        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(3, track_running_stats=False)

        def forward(self, x):
            return self.norm(x.mean((2, 3)))

    with pytest.raises(ShiftbenchError, match="does not answer one image alone"):
        stability_of(Vector(), images())


def test_nan_is_no_instability():
    assert found(lambda: Code(lambda x: x.log())) == []
