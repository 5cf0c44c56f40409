"""The total stride of networks whose strides are known."""

from functools import partial

import pytest
import torch
from torch import nn

from shiftbench.head.base import MakeHead
from shiftbench.head.gap import GlobalAverageHead
from shiftbench.model.stride import total_stride
from shiftbench.model.vgg import VGG
from shiftbench.pool import AdaptivePolyphase2d, BlurPool2d, MaxPool2d, Stride2d
from shiftbench.pool.base import downsampling


@pytest.mark.parametrize("pool", [MaxPool2d, BlurPool2d, Stride2d, AdaptivePolyphase2d])
@pytest.mark.parametrize(("size", "downsamplings"), [(16, 2), (28, 3), (32, 4)])
def test_a_vgg_has_the_stride_of_its_pools(pool, size, downsamplings):
    network = VGG(3, 1, (size, size), downsampling(pool), MakeHead(GlobalAverageHead), width=4,
                  downsamplings=downsamplings)  # fmt: skip
    assert total_stride(network, (1, size, size)) == 2**downsamplings


def test_branches_and_global_windows():
    class Branches(nn.Module):
        def __init__(self):
            super().__init__()
            self.two, self.three = nn.Conv2d(1, 1, 2, stride=2), nn.MaxPool2d(3)
            self.every = nn.AvgPool2d(6)

        def forward(self, x):
            return self.two(x).mean((2, 3)) + self.three(x).mean((2, 3)) + self.every(x)[..., 0, 0]

    network = Branches().train()
    assert total_stride(network, (1, 6, 6)) == 6
    assert network.training
    assert not network.two._forward_hooks


def test_a_network_without_strides_has_one():
    assert total_stride(nn.Sequential(nn.Flatten(), nn.Linear(12, 2)), (3, 2, 2)) == 1


def test_patches_are_strides():
    patches = partial(nn.Conv2d, 3, 4, 8, stride=8)
    assert total_stride(nn.Sequential(patches(), nn.Flatten()), (3, 32, 32)) == 8
    assert torch.is_grad_enabled()
