"""Folding BatchNorm into convolutions."""

import pytest
import torch
from torch import nn

from shiftbench.head.gap import GlobalAverageHead
from shiftbench.model.resnet import ResNet
from shiftbench.model.vgg import VGG
from shiftbench.pool import AdaptivePolyphase2d, BlurPool2d, MaxPool2d
from shiftbench.predict.fold_batchnorm import folded


def lived_in(net):
    """Give every BatchNorm layer random statistics and scales."""
    torch.manual_seed(1)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.normal_(module.bias)
    return net.eval()


@pytest.mark.parametrize("model", [VGG, ResNet])
@pytest.mark.parametrize("pool", [MaxPool2d, BlurPool2d, AdaptivePolyphase2d])
def test_folding_changes_nothing_but_rounding(model, pool):
    net = lived_in(model(4, 3, (16, 16), pool, GlobalAverageHead, "circular", width=4))
    x = torch.randn(6, 3, 16, 16)
    fused = folded(net, x[:2])
    assert not any(isinstance(module, nn.BatchNorm2d) for module in fused.modules())
    assert any(isinstance(module, nn.BatchNorm2d) for module in net.modules())
    expected = net(x).detach()
    atol = 1e-5 * float(expected.abs().max())
    torch.testing.assert_close(fused(x).detach(), expected, rtol=0, atol=atol)


class UsedTwice(nn.Module):
    """A network that also uses the convolution's own output, which folding would change."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

    def forward(self, x):
        y = self.conv(x)
        return (y + self.norm(y)).mean((2, 3))


class Shared(UsedTwice):
    """A network that calls one convolution twice, with one BatchNorm after both calls."""

    def forward(self, x):
        return self.norm(self.conv(self.norm(self.conv(x)))).mean((2, 3))


@pytest.mark.parametrize("model", [UsedTwice, Shared])
def test_what_cannot_be_folded_is_left_alone(model):
    net = lived_in(model())
    assert folded(net, torch.randn(2, 3, 4, 4)) is net


def test_a_network_without_batchnorm_is_returned():
    net = nn.Sequential(nn.Conv2d(3, 2, 1), nn.Flatten())
    assert folded(net, torch.randn(1, 3, 2, 2)) is net
