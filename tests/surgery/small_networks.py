"""Small networks that are rewritten, and plain code for each pool."""

import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models import resnet

from shiftbench import pool as pools


def head(channels):
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10)]


def small_resnet():
    torch.manual_seed(0)
    return resnet.ResNet(resnet.BasicBlock, [1, 1, 1, 1], num_classes=10).eval()


def sequence(*layers, channels=4):
    torch.manual_seed(0)
    return nn.Sequential(*layers, *head(channels)).eval()


WAYS = {
    "max": (pools.MaxPool2d, lambda y: F.max_pool2d(y, 2)),
    "avg": (pools.AvgPool2d, lambda y: F.avg_pool2d(y, 2)),
    "stride": (pools.Stride2d, lambda y: y[:, :, ::2, ::2]),
    "blur": (pools.BlurPool2d, lambda y: pools.BlurPool2d(4)(F.max_pool2d(y, 2, 1))),
    "aps": (
        pools.AdaptivePolyphase2d, lambda y: pools.AdaptivePolyphase2d(4)(F.max_pool2d(y, 2, 1))
    ),
}  # fmt: skip
