"""The dense engine states why it does not apply, and the direct engine runs instead."""

import logging

import pytest
from dense_tables import Net, from_torchvision, inputs, network
from torch import nn

from shiftbench.api import measure
from shiftbench.errors import ShiftbenchError
from shiftbench.head.gap import GlobalAverageHead
from shiftbench.model.resnet import ResNet
from shiftbench.model.vgg import VGG
from shiftbench.pool import (
    BlurPool2d,
    MaxPool2d,
)
from shiftbench.predict.dense_network import DenseNetwork
from shiftbench.predict.phases import NotDenseError
from shiftbench.shift.circular import Circular


def refused(net, size=(16, 16), protocol=Circular()):  # noqa: B008
    with pytest.raises(ShiftbenchError, match="the dense engine is not exact here") as error:
        measure(net, inputs(size), [0, 0, 0], protocol, engine="dense", resamples=10)
    result = measure(net, inputs(size), [0, 0, 0], protocol, resamples=10)
    assert result.predictions.meta["engine"] == "direct"
    return str(error.value)


class Slice(nn.Module):
    """Subsampling in code, without a layer."""

    def forward(self, x):
        return x[:, :, ::2, ::2]


class TwoPaths(nn.Module):
    """Two branches, one subsampled once by 4, the other twice by 2."""

    def __init__(self):
        super().__init__()
        self.once = nn.Conv2d(3, 3, 1, stride=4)
        self.twice = nn.Sequential(nn.Conv2d(3, 3, 1, stride=2), nn.Conv2d(3, 3, 1, stride=2))

    def forward(self, x):
        return self.once(x) + self.twice(x)


class TwoHeads(nn.Module):
    """A network with two position-dependent read-outs."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Flatten(), nn.Flatten()

    def forward(self, x):
        return self.first(x[:, :1, :2, :2]) + self.second(x[:, 1:2, :2, :2])


@pytest.mark.parametrize(
    ("net", "reason"),
    [
        (nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
         "a convolution pads with zeros"),
        (Net(nn.Conv2d(3, 3, 3)), "changes the size of its map"),
        (Net(nn.Conv2d(3, 3, 3, padding="same")), "padding='same'"),
        (Net(nn.MaxPool2d(3, 2, 1)), "a MaxPool2d pads with a border of its own"),
        (Net(nn.MaxPool2d(3, 1)), "changes the size of its map"),
        (Net(nn.MaxPool2d(2, 2, dilation=2)), "is dilated"),
        (Net(BlurPool2d(3)), "a BlurPool2d pads with reflect"),
        (Net(Slice()), "differ by"),
        (nn.Sequential(TwoPaths(), nn.AdaptiveAvgPool2d(1), nn.Flatten()), "in different steps"),
        (TwoHeads(), "a dense pass fails"),
    ],
)  # fmt: skip
def test_it_says_why_it_does_not_hold_and_auto_goes_on_directly(net, reason):
    net = (
        nn.Sequential(net, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        if isinstance(net, TwoPaths)
        else net
    )
    assert reason in refused(net)


def test_a_size_that_the_stride_does_not_divide_is_refused():
    assert "not divisible" in refused(network(ResNet, MaxPool2d, GlobalAverageHead), (18, 18))


def test_draws_and_other_protocols_are_the_direct_engines():
    net = network(VGG, MaxPool2d, GlobalAverageHead)
    assert "samples random shifts" in refused(net, protocol=Circular(sampling="draws", draws=4))


def test_the_reason_is_logged_once(package_log):
    net = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with package_log.at_level(logging.INFO, logger="shiftbench"):
        measure(net.eval(), inputs(), [0, 0, 0], "circular", resamples=10)
    lines = [record.getMessage() for record in package_log.records]
    assert lines == ["not every shift at once, since a convolution pads with zeros"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["squeezenet1_1", "swin_t"])
def test_torchvisions_networks_that_are_on_no_torus_are_refused(name):
    """These have windows without padding, or read positions after reshaping."""
    with pytest.raises(ShiftbenchError, match=r"features.* does not wrap around"):
        measure(
            from_torchvision(name), inputs((32, 32), 2), [0, 1], "circular",
            padding="circular", engine="dense",
        )  # fmt: skip


def test_a_module_that_is_one_layer_is_replaced_whole():
    with pytest.raises(NotDenseError, match="zeros"):
        DenseNetwork(nn.Conv2d(3, 3, 3, padding=1))
