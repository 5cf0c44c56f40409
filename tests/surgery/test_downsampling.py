"""The replacement of each kind of downsampling step."""

import functools

import pytest
import torch
import torch.nn.functional as F
from small_networks import WAYS, sequence, small_resnet
from torch import nn
from torchvision.models import resnet

from shiftbench import pool as pools
from shiftbench.surgery import replace_downsampling


def test_a_residual_block_is_convolution_norm_relu_pool_and_its_shortcut_pool_convolution():
    block = resnet.BasicBlock(4, 8, 2, nn.Sequential(nn.Conv2d(4, 8, 1, 2), nn.BatchNorm2d(8)))
    net = sequence(nn.Conv2d(3, 4, 1), block, channels=8)
    changed, _ = replace_downsampling(net, pools.BlurPool2d)
    blur, own = pools.BlurPool2d(8), changed[1]
    y = torch.randn(2, 4, 16, 16)
    main = F.relu(block.bn1(F.conv2d(y, block.conv1.weight, padding=1)))
    main = block.bn2(block.conv2(blur(main)))
    shortcut = block.downsample[0]
    side = block.downsample[1](F.conv2d(blur(y), shortcut.weight, shortcut.bias))
    torch.testing.assert_close(own(y), F.relu(main + side))
    assert isinstance(own, resnet.BasicBlock)
    assert block.conv1.stride == (2, 2)
    assert own.conv1.stride == (1, 1)


@pytest.mark.parametrize("pool", WAYS)
def test_at_max_pooling(pool, x):
    make, way = WAYS[pool]
    net = sequence(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
    changed, replaced = replace_downsampling(net, make)
    expected = net[3:](way(net[:2](x)))
    torch.testing.assert_close(changed(x), expected)
    assert (len(replaced.sites), len(replaced.kept)) == ((0, 1) if pool == "max" else (1, 0))


@pytest.mark.parametrize("stride", [2, 4])
@pytest.mark.parametrize("kind", [pools.BlurPool2d, pools.AdaptivePolyphase2d])
def test_at_max_pooling_a_setting_leaves_the_maximum_out(kind, stride, x):
    net = sequence(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(stride))
    changed, _ = replace_downsampling(net, functools.partial(kind, max_first=False))
    y = net[:2](x)
    for _ in range(stride // 2):
        y = kind(4)(y)
    torch.testing.assert_close(changed(x), net[3:](y))


def test_at_max_pooling_a_setting_puts_a_maximum_before_the_average(x):
    net = sequence(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
    changed, _ = replace_downsampling(net, functools.partial(pools.AvgPool2d, max_first=True))
    y = F.avg_pool2d(F.max_pool2d(net[:2](x), 2, 1), 2, ceil_mode=True)
    torch.testing.assert_close(changed(x), net[3:](y))


@pytest.mark.parametrize(("pool", "way"), [
    (pools.MaxPool2d, lambda y: F.max_pool2d(y, 2)),
    (pools.AvgPool2d, lambda y: F.avg_pool2d(y, 2)),
    (pools.Stride2d, lambda y: y[:, :, ::2, ::2]),
    (pools.BlurPool2d, pools.BlurPool2d(4)),
    (pools.AdaptivePolyphase2d, lambda y: pools.AdaptivePolyphase2d(4)(F.avg_pool2d(y, 2, 1))),
])  # fmt: skip
def test_at_average_pooling(pool, way, x):
    net = sequence(nn.Conv2d(3, 4, 3, padding=1), nn.AvgPool2d(2))
    changed, _ = replace_downsampling(net, pool)
    torch.testing.assert_close(changed(x), net[2:](way(net[0](x))))


def test_wider_windows_keep_their_centre(x):
    net = sequence(nn.Conv2d(3, 4, 1), nn.MaxPool2d(3, 2))  # windows 0 1 2, 2 3 4, ...
    changed, _ = replace_downsampling(net, pools.Stride2d)
    torch.testing.assert_close(changed(x), net[2:](net[0](x)[:, :, 1:63:2, 1:63:2]))


def test_the_first_convolution_is_replaced_on_request_only(x):
    net = sequence(nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(), nn.Conv2d(4, 4, 3, 2, 1), nn.ReLU())
    _, replaced = replace_downsampling(net, pools.AvgPool2d)
    assert [site.name for site in replaced.sites] == ["2"]
    assert replaced.lines() == [
        "2: Conv2d 3×3, stride 2 -> stride 1, AvgPool2d behind the activation",
        "0: Conv2d 3×3, stride 2, kept: the first convolution; stem=True replaces it",
    ]
    changed, replaced = replace_downsampling(net, pools.AvgPool2d, stem=True)
    assert not replaced.kept
    y = F.avg_pool2d(F.relu(F.conv2d(x, net[0].weight, net[0].bias, padding=1)), 2)
    y = F.avg_pool2d(F.relu(F.conv2d(y, net[2].weight, net[2].bias, padding=1)), 2)
    torch.testing.assert_close(changed(x), net[4:](y))


def test_strided_convolutions_are_unchanged_with_stride():
    _, replaced = replace_downsampling(small_resnet(), pools.Stride2d, stem=True)
    assert [site.name for site in replaced.sites] == ["maxpool"]


def test_a_stride_of_four_is_two_halvings(x):
    net = sequence(nn.Conv2d(3, 4, 11, 4, 2), nn.ReLU())
    changed, replaced = replace_downsampling(net, pools.AvgPool2d, stem=True)
    assert replaced.lines() == [
        "0: Conv2d 11×11, stride 4 -> stride 1, AvgPool2d twice behind the activation"
    ]
    y = F.relu(F.conv2d(x, net[0].weight, net[0].bias, padding=2))
    expected = F.avg_pool2d(F.avg_pool2d(y, 2, ceil_mode=True), 2, ceil_mode=True)
    assert expected.shape[2] == net[:2](x).shape[2]
    torch.testing.assert_close(changed(x), net[2:](expected))


def test_each_halving_has_a_filter(x):
    # Three taps and three taps two apart are seven, (1 2 3 4 3 2 1) / 16 along each axis.
    net = sequence(nn.Conv2d(3, 4, 4, 4), nn.ReLU())
    changed, _ = replace_downsampling(net, pools.BlurPool2d, stem=True)
    y = F.relu(F.conv2d(F.pad(x, (0, 3, 0, 3)), net[0].weight, net[0].bias))
    taps = torch.tensor([1.0, 2, 3, 4, 3, 2, 1]) / 16
    kernel = (taps[:, None] * taps).expand(4, 1, 7, 7)
    expected = F.conv2d(y, kernel, stride=4, padding=3, groups=4)
    own = changed[:2](x)
    torch.testing.assert_close(own[:, :, 1:-1, 1:-1], expected[:, :, 1:-1, 1:-1])


@pytest.mark.parametrize(("stride", "taps"), [(3, 1), (6, 2), (8, 3)])
def test_other_strides_are_halved_as_often_as_they_can_be(stride, taps, x):
    net = sequence(nn.Conv2d(3, 4, 9, stride, 4), nn.ReLU())
    made = []

    def make(channels, stride, padding):
        made.append(stride)
        return pools.BlurPool2d(channels, stride=stride, filter_size=1)

    changed, _ = replace_downsampling(net, make, stem=True)
    assert made == {3: [3], 6: [2, 3], 8: [2, 2, 2]}[stride]
    torch.testing.assert_close(changed(x), net(x))


@pytest.mark.parametrize("pool", [pools.Stride2d, pools.MaxPool2d])
def test_a_stride_of_four_in_a_pooling_layer(pool, x):
    net = sequence(nn.Conv2d(3, 4, 1), nn.AvgPool2d(4))
    changed, _ = replace_downsampling(net, pool)
    y = net[0](x)
    y = y[:, :, ::4, ::4] if pool is pools.Stride2d else F.max_pool2d(y, 4)
    torch.testing.assert_close(changed(x), net[2:](y))
