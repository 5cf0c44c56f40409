"""Networks whose downsampling is replaced: what is found in them, refused, and left as it was."""

import copy
import functools

import pytest
import torch
import torch.nn.functional as F
from small_networks import WAYS, sequence, small_resnet
from torch import nn
from torchvision import models
from torchvision.models import resnet

import shiftbench
from shiftbench import pool as pools
from shiftbench.errors import ShiftbenchError, UsageError
from shiftbench.surgery import circular, replace_downsampling


class Functional(nn.Module):
    """A network that writes its activation and its pooling as functions."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, 2, 1)
        self.fc = nn.Linear(4, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv(x)), kernel_size=3, stride=2, padding=1)
        return self.fc(x.mean((2, 3)))


def test_pooling_functions_are_found(x):
    net = Functional().eval()
    changed, replaced = replace_downsampling(net, pools.BlurPool2d, stem=True)
    assert [site.name for site in replaced.sites] == ["conv", "max_pool_0"]
    blur = pools.BlurPool2d(4)
    y = blur(F.relu(F.conv2d(x, net.conv.weight, net.conv.bias, padding=1)))
    expected = net.fc(blur(F.max_pool2d(y, 3, 1, 1)).mean((2, 3)))
    torch.testing.assert_close(changed(x), expected)
    assert isinstance(changed, Functional)


class Untraceable(nn.Module):
    """A network whose Python code looks at its numbers."""

    def __init__(self):
        super().__init__()
        self.conv, self.side = nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(3, 4, 1, 2)
        self.fc = nn.Linear(4, 10)

    def forward(self, x):
        y = self.conv(x)
        y = y.relu() if y.mean() > -100 else y
        return self.fc((y + self.side(x)).mean((2, 3)))


def test_where_no_graph_can_be_traced_the_pool_follows_the_convolution(x):
    net = Untraceable().eval()
    changed, replaced = replace_downsampling(net, pools.AvgPool2d, stem=True)
    assert replaced.sites[0].now == "stride 1, AvgPool2d behind the convolution"
    y = F.avg_pool2d(F.conv2d(x, net.conv.weight, net.conv.bias, padding=1), 2).relu()
    side = F.conv2d(F.avg_pool2d(x, 2), net.side.weight, net.side.bias)
    torch.testing.assert_close(changed(x), net.fc((y + side).mean((2, 3))))
    with pytest.raises(UsageError, match="hold conv, side cannot be given one grid"):
        replace_downsampling(net, pools.AdaptivePolyphase2d, stem=True)


class Uneven(nn.Module):
    """Two steps in one branch, one in the other."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 1)
        self.long = nn.Sequential(nn.Conv2d(4, 4, 3, 2, 1), nn.Conv2d(4, 4, 3, 2, 1))
        self.short = nn.Conv2d(4, 4, 1, 4)
        self.fc = nn.Linear(4, 10)

    def forward(self, x):
        x = self.stem(x)
        return self.fc((self.long(x) + self.short(x)).mean((2, 3)))


def test_grids_that_cannot_be_shared_are_refused(x):
    net = Uneven().eval()
    with pytest.raises(UsageError, match="subsampled in different steps"):
        replace_downsampling(net, pools.AdaptivePolyphase2d)
    changed, _ = replace_downsampling(net, pools.BlurPool2d)
    assert changed(x).shape == (2, 10)


def test_no_subsampling_at_all_is_refused():
    with pytest.raises(UsageError, match="2 times too large"):
        replace_downsampling(small_resnet(), pools.NoPool2d)


def test_a_network_that_runs_on_no_common_size_is_reported_in_one_sentence():
    net = nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.Flatten(), nn.Linear(7, 10))
    with pytest.raises(ShiftbenchError, match=r"takes no square images of 64, .*image_shape"):
        replace_downsampling(net, pools.BlurPool2d)
    with pytest.raises(ShiftbenchError, match=r"does not take images of 3×8×8 .*image_shape"):
        replace_downsampling(net, pools.BlurPool2d, image_shape=(3, 8, 8))


@pytest.mark.parametrize("stem", [False, True])
def test_transformers_are_unchanged(stem):
    vit = models.VisionTransformer(32, 8, 1, 2, 16, 32, num_classes=10)
    _, replaced = replace_downsampling(vit, pools.BlurPool2d, stem=stem)
    assert not replaced.sites
    assert [site.name for site in replaced.kept] == ["conv_proj"]
    swin = models.SwinTransformer([4, 4], 8, [1, 1], [2, 2], [7, 7], num_classes=10)
    _, replaced = replace_downsampling(swin, pools.BlurPool2d, stem=stem)
    assert not replaced.sites
    assert [site.name for site in replaced.kept] == ["features.0.0", "features.2"]


def test_it_can_be_trained_and_copied(x):
    net = small_resnet().train()
    changed, _ = replace_downsampling(net, pools.AdaptivePolyphase2d, stem=True)
    assert all(module.training for module in changed.modules())
    changed = copy.deepcopy(changed)
    changed(x).sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in changed.parameters())
    assert all(parameter.grad is None for parameter in net.parameters())
    changed.load_state_dict(net.state_dict())


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_networks_of_any_precision(dtype, x):
    block = resnet.BasicBlock(4, 8, 2, nn.Sequential(nn.Conv2d(4, 8, 1, 2), nn.BatchNorm2d(8)))
    net = sequence(nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4), nn.ReLU(), block, channels=8)
    make = functools.partial(pools.BlurPool2d, filter_size=1)
    changed, replaced = replace_downsampling(net.to(dtype), make, stem=True)
    assert [site.name for site in replaced.sites] == ["0", "3.conv1", "3.downsample.0"]
    assert replaced.sites[0].now.endswith("behind the activation")
    logits = changed(x.to(dtype))
    assert logits.dtype is dtype
    tolerance = 1e-9 if dtype is torch.float64 else 0.05
    torch.testing.assert_close(logits, net(x.to(dtype)), rtol=tolerance, atol=tolerance)
    assert circular(changed)[0](x.to(dtype)).dtype is dtype


def test_the_global_random_stream_is_not_used():
    torch.manual_seed(3)
    expected = torch.rand(1)
    net = small_resnet()
    torch.manual_seed(3)
    replace_downsampling(net, pools.BlurPool2d)
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize("pool", WAYS)
def test_the_dense_engine_accepts_a_rewritten_network(pool):
    block = resnet.BasicBlock(4, 8, 2, nn.Sequential(nn.Conv2d(4, 8, 1, 2), nn.BatchNorm2d(8)))
    net = sequence(nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(), nn.MaxPool2d(2), block, channels=8)
    x = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    net, _ = replace_downsampling(net, WAYS[pool][0], stem=True)
    result = shiftbench.measure(
        net, x, torch.zeros(1, dtype=torch.long), padding="circular", engine="dense", resamples=2
    )
    exact = result.metrics.set_index("metric").value["exact_fraction"]
    assert (exact == 1) == (pool == "aps")


def efficientnet_lite():
    lite = pytest.importorskip("efficientnet_lite_pytorch", reason="an optional package")
    torch.manual_seed(0)
    net = lite.EfficientNet.from_name("efficientnet-lite0", num_classes=10)
    net.train()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        net(torch.randn(4, 3, 64, 64))
    return net.eval()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::SyntaxWarning")
def test_borders_in_the_manner_of_tensorflow(x):
    net = efficientnet_lite()
    changed, replaced = replace_downsampling(
        net, functools.partial(pools.BlurPool2d, filter_size=1), stem=True
    )
    assert len(replaced.sites) == 5
    assert list(changed.state_dict()) == list(net.state_dict())
    torch.testing.assert_close(changed(x), net(x), rtol=1e-5, atol=1e-5)
    wrapped, _ = circular(replace_downsampling(net, pools.AdaptivePolyphase2d, stem=True)[0])
    with torch.no_grad():
        logits, moved = wrapped(x), wrapped(x.roll((5, 22), (2, 3)))
    torch.testing.assert_close(moved, logits, rtol=0, atol=1e-4)
