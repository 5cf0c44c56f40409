"""Borders that wrap around."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from shiftbench.pool import BlurPool2d
from shiftbench.surgery import circular


def test_every_border_wraps_around_and_the_original_is_untouched():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding="same", dilation=2),
        nn.MaxPool2d(3, 1, 1), nn.AvgPool2d(3, 1, 1), BlurPool2d(4, stride=1),
        nn.Conv2d(4, 4, 1), nn.MaxPool2d(2),
    )  # fmt: skip
    changed, names = circular(net)
    assert names == ["0", "1", "2", "3", "4"]
    assert net[0].padding_mode == "zeros"
    x = torch.randn(2, 3, 8, 8)
    moved = changed(x.roll((2, -4), (2, 3)))
    torch.testing.assert_close(moved, changed(x).roll((1, -2), (2, 3)), rtol=0, atol=1e-5)
    assert not torch.allclose(net(x.roll(2, 2)), net(x).roll(1, 2), atol=1e-3)
    assert changed[0].weight is not net[0].weight
    assert torch.equal(changed[0].weight, net[0].weight)


def test_away_from_the_border_the_answers_are_the_same():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 5, padding=2), nn.MaxPool2d(3, 2, 1))
    changed, _ = circular(net)
    x = torch.randn(1, 3, 16, 16)
    assert torch.equal(changed(x)[:, :, 2:-2, 2:-2], net(x)[:, :, 2:-2, 2:-2])


def test_wrapped_pooling_is_pooling_of_the_wrapped_map():
    x = torch.randn(1, 2, 6, 6)
    changed, _ = circular(nn.MaxPool2d(3, 2, 1))
    expected = F.max_pool2d(F.pad(x, (1, 1, 1, 1), mode="circular"), 3, 2)
    assert torch.equal(changed(x), expected)


@pytest.mark.parametrize("border", [nn.ZeroPad2d, nn.ReflectionPad2d, nn.ReplicationPad2d])
def test_a_border_layer_wraps_around(border):
    x = torch.randn(1, 2, 5, 6)
    changed, names = circular(nn.Sequential(border((0, 1, 2, 0))))
    assert names == ["0"]
    assert torch.equal(changed(x), F.pad(x, (0, 1, 2, 0), mode="circular"))
