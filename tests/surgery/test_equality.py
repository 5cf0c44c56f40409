"""With a filter of one tap, a rewritten network of any construction gives its own logits."""

import copy

import pytest
import torch
import torch.nn.functional as F
from altered import (
    ONE_TAP,
    SHAPE,
    Chain,
    EverySth2d,
    conv,
    difference,
    head,
    images,
    network,
    with_statistics,
)
from torch import nn

from shiftbench import pool as pools
from shiftbench.errors import ShiftbenchError
from shiftbench.surgery import replace_downsampling


class ConvNormAct(nn.Sequential):
    """A block that has "Norm" in its name and holds a convolution."""

    def __init__(self):
        super().__init__(conv(), nn.BatchNorm2d(8), nn.ReLU())


class NormConv2d(nn.Conv2d):
    """A convolution that has "Norm" in its name."""


class PixelNorm(nn.Module):
    """A norm over the channels, position by position, that has no parameters."""

    def forward(self, x):
        return x / x.square().mean(1, keepdim=True).sqrt()


class ChannelsLast(nn.LayerNorm):
    """A norm over the channels that turns the map round, as in ConvNeXt."""

    def forward(self, x):
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ResponseNorm(nn.Module):
    """A norm over the whole map (ConvNeXt V2)."""

    def forward(self, x):
        energy = x.norm(dim=(2, 3), keepdim=True)
        return x + x * energy / energy.mean(1, keepdim=True)


class AboveMean(nn.Module):
    """An activation whose threshold is the map's mean."""

    def forward(self, x):
        return F.relu(x - x.mean((2, 3), keepdim=True))


class BySize(nn.Module):
    """An activation that divides by the map's size."""

    def forward(self, x):
        return F.relu(x) / x.shape[2]


# By what comes behind a strided convolution: where its pool goes.
BEHIND = {
    "a block with Norm in its name": (ConvNormAct, "convolution"),
    "a convolution with Norm in its name": (lambda: NormConv2d(8, 8, 3, 1, 1), "convolution"),
    "batch norm": (lambda: nn.BatchNorm2d(8), "activation"),
    "a norm by position": (PixelNorm, "activation"),
    "a norm over channels": (lambda: ChannelsLast(8), "activation"),
    "instance norm of kept statistics": (
        lambda: nn.InstanceNorm2d(8, affine=True, track_running_stats=True), "activation"),
    "local response": (lambda: nn.LocalResponseNorm(3), "activation"),
    "batch norm of the batch's statistics": (
        lambda: nn.BatchNorm2d(8, track_running_stats=False), "convolution"),
    "instance norm": (lambda: nn.InstanceNorm2d(8), "convolution"),
    "group norm": (lambda: nn.GroupNorm(2, 8), "convolution"),
    "a norm over the map": (lambda: nn.LayerNorm([8, 16, 16]), "convolution"),
    "a norm over rows": (lambda: nn.LayerNorm(16), "convolution"),
    "response norm": (ResponseNorm, "convolution"),
    "a threshold of the map": (AboveMean, "convolution"),
    "an activation by size": (BySize, "convolution"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BEHIND)
def test_the_pool_follows_layers_that_treat_positions_alike(kind):
    make, place = BEHIND[kind]
    torch.manual_seed(0)
    net, x = with_statistics(network(conv(3, 2), make(), nn.ReLU(), conv())), images(SHAPE)
    changed, done = replace_downsampling(net, ONE_TAP, stem=True, image_shape=SHAPE)
    assert [site.now for site in done.sites] == [f"stride 1, BlurPool2d behind the {place}"]
    assert difference(changed(x), net(x)) < 1e-4
    # A pool that does filter sees the convolution at every position.
    pool = pools.AvgPool2d(8)
    filtered, _ = replace_downsampling(net, pools.AvgPool2d, stem=True, image_shape=SHAPE)
    y = F.conv2d(x, net[0].weight, net[0].bias, padding=1)
    y = pool(net[2](net[1](y))) if place == "activation" else net[2](net[1](pool(y)))
    torch.testing.assert_close(filtered(x), net[3:](y))


WINDOWS = (
    nn.MaxPool2d(3, 2, ceil_mode=True), nn.MaxPool2d(3, 2, 1, dilation=2), nn.MaxPool2d((2, 3), 2),
    nn.MaxPool2d((5, 1), 2, (2, 0)), nn.MaxPool2d(1, 2), nn.MaxPool2d(2, 3, ceil_mode=True),
    nn.AvgPool2d(3, 2, 1, count_include_pad=False), nn.AvgPool2d(3, 2, 1, divisor_override=5),
    nn.AvgPool2d(3, 2, ceil_mode=True), nn.AvgPool2d(2, ceil_mode=True, count_include_pad=False),
    nn.AvgPool2d(5, 3, 2, ceil_mode=True, count_include_pad=False), nn.AvgPool2d((2, 3), 2, (1, 0)),
)  # fmt: skip


@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("size", [(32, 32), (33, 38)])
def test_options_of_pooling_layers_are_kept(window, size):
    torch.manual_seed(0)
    net, x = network(conv(3), nn.ReLU(), copy.deepcopy(window), conv()), images((3, *size))
    changed, done = replace_downsampling(net, EverySth2d, image_shape=(3, *size))
    assert [site.name for site in done.sites] == ["2"]
    assert difference(changed(x), net(x)) < 1e-4
    for pool in (pools.BlurPool2d, pools.MaxPool2d, pools.AvgPool2d, pools.Stride2d):
        changed, _ = replace_downsampling(net, pool, image_shape=(3, *size))
        assert changed[:3](x).shape == net[:3](x).shape


class Scaled(nn.MaxPool2d):
    """A pooling layer with code of its own."""

    def forward(self, x):
        return 2 * super().forward(x)


def test_a_pooling_layer_with_its_own_code_runs_it():
    net, x = network(conv(3), Scaled(3, 2, 1), conv()), images(SHAPE)
    changed, done = replace_downsampling(net, ONE_TAP, image_shape=SHAPE)
    assert [site.name for site in done.sites] == ["1"]
    assert difference(changed(x), net(x)) < 1e-4


@pytest.mark.parametrize("shape", [(1, 28, 28), (4, 32, 32), (5, 40, 56), (3, 45, 31)])
@pytest.mark.parametrize("flattens", [False, True])
def test_any_size_and_any_number_of_channels(shape, flattens):
    torch.manual_seed(0)
    body = [conv(shape[0], 2), nn.ReLU(), conv(8, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    sides = [-(-side // 8) for side in shape[1:]]
    last = [nn.Flatten(), nn.Linear(8 * sides[0] * sides[1], 5)] if flattens else head(8)
    net, x = nn.Sequential(*body, *last).eval(), images(shape)
    changed, done = replace_downsampling(net, ONE_TAP, stem=True, image_shape=shape)
    assert len(done.sites) == 3
    assert difference(changed(x), net(x)) < 1e-4


@pytest.mark.parametrize(("channels", "side"), [(1, 28), (3, 32), (4, 64), (5, 224)])
def test_common_sizes_are_tried_by_default(channels, side):
    left = side // 4
    net = nn.Sequential(
        conv(channels, 2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8 * left**2, 5)
    )
    _, done = replace_downsampling(net, ONE_TAP, stem=True)
    assert [site.name for site in done.sites] == ["0", "2"]


class CutsItself(nn.Conv2d):
    """A strided convolution whose number of positions depends on its input's."""

    def forward(self, x):
        return super().forward(x)[:, :, : x.shape[2] // 2, : x.shape[3] // 2]


class RowsApart(nn.Module):
    """Adds to every second row of what it is given, by the map's size."""

    def __init__(self):
        super().__init__()
        self.conv = conv(8, 2)
        self.bias = nn.Parameter(torch.arange(16.0).view(1, 1, 16, 1))

    def forward(self, x):
        return F.relu(self.conv(x)) + self.bias


KEPT = {
    "a border that depends on the stride": (
        lambda: network(conv(3), CutsItself(8, 8, 4, 2, 2), nn.ReLU()), "1"),
    "two strides": (lambda: network(conv(3), nn.Conv2d(8, 8, 3, (2, 1), 1)), "1"),
    "indices": (lambda: Chain(
        lambda self, x: self.a(F.max_unpool2d(*self.pool(self.a(x)), 2)), a=nn.Conv2d(3, 3, 1),
        pool=nn.MaxPool2d(2, return_indices=True), channels=3), "pool"),
}  # fmt: skip


@pytest.mark.parametrize("kind", KEPT)
def test_unreplaceable_steps_are_listed_by_name(kind):
    make, name = KEPT[kind]
    torch.manual_seed(0)
    net, x = make(), images(SHAPE)
    changed, done = replace_downsampling(net, pools.BlurPool2d, stem=True, image_shape=SHAPE)
    assert [site.name for site in done.kept] == [name]
    assert not done.sites
    assert torch.equal(changed(x), net(x))


def test_a_bias_for_each_row_stays_behind_the_pool():
    net, x = network(conv(3), RowsApart()), images(SHAPE)
    changed, done = replace_downsampling(net, ONE_TAP, image_shape=SHAPE)
    assert [site.name for site in done.sites] == ["1.conv"]
    assert difference(changed(x), net(x)) < 1e-4


class Forgets(nn.Module):
    """A strided block that looks at the stride of its convolution."""

    def __init__(self):
        super().__init__()
        self.conv = conv(8, 2)

    def forward(self, x):
        x = self.conv(x)
        return x * 2 if self.conv.stride == (2, 2) else x


def test_other_logits_are_refused_with_the_layers_name():
    net = network(conv(3), Forgets(), nn.Conv2d(8, 8, 1))
    message = r"downsampling of 1\.conv .* cannot be replaced: .*1 \(Forgets\) does not return"
    with pytest.raises(ShiftbenchError, match=message):
        replace_downsampling(net, ONE_TAP, image_shape=SHAPE)


@pytest.mark.filterwarnings("ignore:.torch.jit")
def test_torchscript_inside_is_refused_by_name():
    net = network(conv(3), torch.jit.script(conv(8, 2)))
    with pytest.raises(ShiftbenchError, match=r"^1 \(RecursiveScriptModule\) is TorchScript"):
        replace_downsampling(net, ONE_TAP, image_shape=SHAPE)
