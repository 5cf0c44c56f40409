"""The report of surgery: every step by its layer's name, replaced or kept with the reason."""

import pytest
import torch
import torch.nn.functional as F
from altered import ONE_TAP, Chain, difference, images, network, with_statistics
from torch import nn

from shiftbench import pool as pools
from shiftbench.surgery import replace_downsampling

SHAPE = (3, 32, 32)


def conv(in_channels=8, out_channels=8, kernel=3, stride=1, **settings):
    return nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, **settings)


def reported(net, pool=pools.BlurPool2d, stem=True, shape=SHAPE):
    changed, done = replace_downsampling(net, pool, stem=stem, image_shape=shape)
    changed(images(shape))
    return [site.name for site in done.sites], [site.name for site in done.kept]


class Parallel(nn.Module):
    """A block of two strided branches (RepVGG, MobileOne, FastViT)."""

    def __init__(self, in_channels, one, other):
        super().__init__()
        self.one = nn.Sequential(one(in_channels), nn.BatchNorm2d(8))
        self.other = nn.Sequential(other(in_channels), nn.BatchNorm2d(8))

    def forward(self, x):
        return F.relu(self.one(x) + self.other(x))


def wide(in_channels):
    return conv(in_channels, stride=2)


def pointwise(in_channels):
    return conv(in_channels, kernel=1, stride=2)


class CutsItself(nn.Conv2d):
    """A convolution that cuts its output by its stride, so it does not run at every position."""

    def forward(self, x):
        return super().forward(x)[:, :, : x.shape[2] // 2, : x.shape[3] // 2]


def cut(in_channels):
    return CutsItself(in_channels, 8, 4, 2, 2)


def test_parallel_stems_are_both_replaced_or_neither():
    net = with_statistics(network(Parallel(3, wide, pointwise), Parallel(8, wide, pointwise)))
    first, second = ["0.one.0", "0.other.0"], ["1.one.0", "1.other.0"]
    assert reported(net, stem=False) == (second, first)
    assert reported(net, stem=True) == (first + second, [])


@pytest.mark.parametrize("kinds", [(cut, wide), (wide, cut), (pointwise, cut)])
def test_if_one_branch_cannot_be_replaced_none_is(kinds):
    net = with_statistics(network(conv(3), Parallel(8, *kinds), Parallel(8, wide, wide)))
    done, kept = reported(net)
    assert (done, sorted(kept)) == (["2.one.0", "2.other.0"], ["1.one.0", "1.other.0"])
    _, report = replace_downsampling(net, pools.BlurPool2d, stem=True, image_shape=SHAPE)
    reasons = {site.name: site.now for site in report.kept}
    odd = "1.one.0" if kinds[0] is cut else "1.other.0"
    even = "1.other.0" if kinds[0] is cut else "1.one.0"
    assert "its border depends on its stride" in reasons.pop(odd)
    assert f"it meets {odd}, which stays" in reasons[even]


class Split(nn.Module):
    """A strided block as in Res2Net: convolutions and norms in lists, the last part pooled."""

    def __init__(self):
        super().__init__()
        self.convs = nn.ModuleList(conv(4, 4, stride=2) for _ in range(2))
        self.bns = nn.ModuleList(nn.BatchNorm2d(4) for _ in range(2))
        self.pool, self.last = nn.AvgPool2d(3, 2, 1), conv(12)

    def parts(self, x):
        parts = x.split(4, 1)
        return [parts[0], parts[1], parts[2]]

    def forward(self, x):
        parts = self.parts(x)
        done = [F.relu(b(c(p))) for c, b, p in zip(self.convs, self.bns, parts, strict=False)]
        return self.last(torch.cat([*done, self.pool(parts[-1])], 1))


class Untraceable(Split):
    """The same in code that no graph shows."""

    def parts(self, x):
        return list(x.split(4, 1))


@pytest.mark.parametrize(("block", "place"), [(Split, "activation"), (Untraceable, "convolution")])
def test_convolutions_in_lists_are_pooled_where_the_report_says(block, place):
    torch.manual_seed(0)
    net, x = with_statistics(network(conv(3, 12), block())), images(SHAPE)
    changed, done = replace_downsampling(net, pools.AvgPool2d, image_shape=SHAPE)
    assert done.lines() == [
        f"1.convs.0: Conv2d 3×3, stride 2 -> stride 1, AvgPool2d behind the {place}",
        f"1.convs.1: Conv2d 3×3, stride 2 -> stride 1, AvgPool2d behind the {place}",
        "1.pool: AvgPool2d 3×3, stride 2, kept: it is what pool=avg asks for",
    ]
    block, parts, pooled = net[1], net[0](x).split(4, 1), []
    for conv_, norm, part in zip(block.convs, block.bns, parts, strict=False):
        y = F.conv2d(part, conv_.weight, conv_.bias, padding=1)
        behind = place == "activation"
        pooled.append(
            F.avg_pool2d(F.relu(norm(y)), 2) if behind else F.relu(norm(F.avg_pool2d(y, 2)))
        )
    expected = block.last(torch.cat([*pooled, block.pool(parts[2])], 1))
    torch.testing.assert_close(changed(x), net[2:](expected))


class Every2nd(nn.Module):
    """Keeps every second token along both axes (LeViT)."""

    def forward(self, x):
        maps = x.unflatten(1, (16, 16))
        return maps[:, ::2, ::2].flatten(1, 2)


class MaxOf4(nn.Module):
    """Keeps the largest of every four tokens (Hiera)."""

    def forward(self, x):
        return x.unflatten(1, (64, 4)).amax(2)


class Attends(nn.Module):
    """Attention of fewer queries than tokens."""

    def __init__(self):
        super().__init__()
        self.queries = nn.Parameter(torch.randn(1, 64, 8))

    def forward(self, x):
        queries = self.queries.expand(len(x), -1, -1)
        return F.scaled_dot_product_attention(queries, x, x)


class Merges(nn.Module):
    """Merges patches by reshaping (Swin)."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(32, 8)

    def forward(self, x):
        x = x.reshape(len(x), 8, 2, 8, 2, 8).transpose(2, 3).flatten(3).flatten(1, 2)
        return self.linear(x)


def _tokens(self, x):
    x = self.patches(x).flatten(2).transpose(1, 2)
    return self.reduce(x).transpose(1, 2).unsqueeze(3)


@pytest.mark.parametrize("reduce", [Every2nd, MaxOf4, Attends, Merges])
def test_subsampling_of_tokens_is_reported_by_name(reduce):
    torch.manual_seed(0)
    net = Chain(_tokens, patches=conv(3, stride=2), reduce=reduce())
    assert reported(net) == (["patches"], ["reduce"])
    net = Chain(_tokens, patches=conv(3, stride=2), reduce=nn.Identity())
    assert reported(net) == (["patches"], [])


IN_THE_NETWORKS_CODE = {
    "indexing": lambda x: x[:, :, ::2, ::2],
    "index_select": lambda x: x.index_select(3, torch.arange(0, 32, 2))[:, :, ::2],
    "slices of tokens": lambda x: x.flatten(2)[:, :, ::2].unflatten(2, (16, 32)),
    "reshaping": lambda x: x.reshape(len(x), 8, 16, 2, 16, 2).permute(0, 1, 3, 5, 2, 4)
    .reshape(len(x), 32, 16, 16)[:, :8],
    "means of cells": lambda x: x.reshape(len(x), 8, 16, 2, 16, 2).mean((3, 5)),
    "maxima of tokens": lambda x: x.flatten(2).unflatten(2, (-1, 4)).amax(3).unflatten(2, (16, 16)),
    "interpolation": lambda x: F.interpolate(x, scale_factor=0.5),
    "channels of pixels": lambda x: F.pixel_unshuffle(x, 2)[:, :8],
    "unfolding": lambda x: F.unfold(x, 2, stride=2).unflatten(2, (16, 16))[:, :8],
    "windows of a tensor": lambda x: x.unfold(2, 2, 2).unfold(3, 2, 2).mean((4, 5)),
    "p-norms": lambda x: F.lp_pool2d(x.abs(), 2, 2),
    "adaptive pooling": lambda x: F.adaptive_max_pool2d(x, 16),
}  # fmt: skip


@pytest.mark.parametrize("kind", IN_THE_NETWORKS_CODE)
def test_subsampling_in_the_networks_own_code_is_reported(kind):
    way = IN_THE_NETWORKS_CODE[kind]
    net = Chain(lambda self, x: way(self.a(x)), a=conv(3))
    assert reported(net) == ([], ["the network"])


def test_apparent_subsampling_is_not_reported():
    def run(self, x):
        x = self.a(x)
        tokens = x.flatten(2).transpose(1, 2)
        mixed, _ = self.attention(tokens, tokens, tokens)
        x = x + mixed.transpose(1, 2).unflatten(2, (32, 32))
        one, other = x[:, ::2], x[:, 1::2]  # channels
        gate = x.mean((2, 3), keepdim=True).sigmoid()
        return torch.cat([one, other], 1)[:, :, 1:-1, 1:-1] * gate

    net = Chain(run, a=conv(3), attention=nn.MultiheadAttention(8, 2, batch_first=True))
    assert reported(net) == ([], [])


REASONS = {
    "the first convolution": (lambda: network(conv(3, stride=2)), "0", "stem=True replaces it"),
    "large patches": (
        lambda: network(nn.Conv2d(3, 8, 16, 16)), "0", "patches of 16×16 that do not overlap"),
    "two strides": (
        lambda: network(conv(3), nn.MaxPool2d((3, 1), (2, 1))), "1", "strides are 2 and 1"),
    "a divisor": (
        lambda: network(conv(3), nn.AvgPool2d(2, divisor_override=3)), "1", "of its own"),
    "a window's own code": (
        lambda: network(conv(3), _Scaled(2)), "1", "a _Scaled does more than pool"),
    "a convolution in the code": (
        lambda: Chain(lambda self, x: F.conv2d(x, self.a.weight, stride=2), a=conv(3)),
        "the network", "it is not a Conv2d"),
}  # fmt: skip


class _Scaled(nn.AvgPool2d):
    def forward(self, x):
        return 2 * super().forward(x)


@pytest.mark.parametrize("kind", REASONS)
def test_kept_steps_are_named_with_their_reason(kind):
    make, name, reason = REASONS[kind]
    net = make()
    changed, done = replace_downsampling(net, pools.BlurPool2d, image_shape=SHAPE)
    assert not done.sites
    [kept] = done.kept
    assert kept.name == name
    assert reason in kept.now
    assert done.lines() == [f"{name}: {kept.was}, kept: {kept.now}"]
    assert torch.equal(changed(images(SHAPE)), net(images(SHAPE)))


def test_the_pooling_of_a_head_is_no_step():
    net = nn.Sequential(
        conv(3), nn.ReLU(), nn.MaxPool2d(2), nn.AvgPool2d(16), nn.Flatten(), nn.Linear(8, 5)
    ).eval()
    assert reported(net) == (["2"], [])
    changed, _ = replace_downsampling(net, ONE_TAP, image_shape=SHAPE)
    assert difference(changed(images(SHAPE)), net(images(SHAPE))) < 1e-4
