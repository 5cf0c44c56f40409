"""Channels-last if it does not change a network's output, otherwise contiguous."""

import pytest
import torch
from torch import nn

from shiftbench.model.layout import home, memory_format, noise, training_format
from shiftbench.model.outputs import as_module

LAST, PLAIN = torch.channels_last, torch.contiguous_format
SHAPE = (3, 8, 8)


class Head(nn.Module):
    """A convolution, then whatever flattens its maps."""

    def __init__(self, flatten):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(4 * 36, 5)
        self.flatten = flatten

    def forward(self, x):
        return self.fc(self.flatten(self.conv(x)))


def in_memory_order(x):
    """A layer that depends on the memory format without failing."""
    return torch.as_strided(x, (len(x), x[0].numel()), (x[0].numel(), 1), x.storage_offset())


HEADS = {
    "flatten": (lambda x: x.flatten(1), LAST),
    "view": (lambda x: x.view(len(x), -1), PLAIN),
    "memory order": (in_memory_order, PLAIN),
    "channels-last view": (lambda x: x.permute(0, 2, 3, 1).view(len(x), -1), LAST),
}


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("choose", [memory_format, training_format])
def test_the_format_is_one_in_which_the_network_runs_as_written(name, choose):
    flatten, expected = HEADS[name]
    net = Head(flatten).eval()
    images = noise(net, SHAPE)
    assert choose(net, images if choose is memory_format else SHAPE) == expected
    assert net.conv.weight.is_contiguous()


def test_random_draws_are_no_difference():
    class Noisy(Head):
        def forward(self, x):
            return super().forward(x) + torch.rand(5)

    net = Noisy(lambda x: x.flatten(1)).eval()
    assert memory_format(net, noise(net, SHAPE)) == LAST


def test_weights_of_five_axes_stay_contiguous():
    net = Head(lambda x: x.flatten(1))
    net.volume = nn.Conv3d(1, 1, 3)
    assert training_format(net, SHAPE) == PLAIN


def test_a_parameter_that_is_viewed_stays_contiguous():
    class Positions(Head):
        def __init__(self, flatten):
            super().__init__(flatten)
            self.position = nn.Parameter(torch.rand(1, 4, 6, 6))

        def forward(self, x):
            return super().forward(x) + self.position.view(-1).sum()

    assert training_format(Positions(lambda x: x.flatten(1)), SHAPE) == PLAIN


def test_functions_stay_contiguous_in_training():
    net = Head(lambda x: x.flatten(1))
    assert training_format(as_module("model", net.forward), SHAPE) == PLAIN


def test_a_network_that_runs_in_neither_raises_its_own_error():
    net = Head(lambda x: x[:, :2].flatten(1)).eval()
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        memory_format(net, noise(net, SHAPE))


def test_device_and_dtype_of_a_network():
    cpu, meta = torch.device("cpu"), torch.device("meta")
    assert home(nn.Linear(2, 2).double(), meta) == (cpu, torch.float64)
    assert home(nn.Flatten(), meta) == (meta, torch.float32)
    assert home(nn.BatchNorm2d(2, affine=False), meta) == (cpu, torch.float32)
    whole = nn.Module()
    whole.codes = nn.Parameter(torch.zeros(2, dtype=torch.int8), requires_grad=False)
    whole.scales = nn.Parameter(torch.zeros(2).half())
    assert home(whole, meta) == (cpu, torch.float16)
