"""The dense engine gives the same table as the direct engine."""

import functools

import pytest
import torch
import torch.nn.functional as F
from dense_tables import SMALL, Net, assert_same, from_torchvision, inputs, network, tables
from torch import nn

from shiftbench.api import measure
from shiftbench.head.flatten import FlattenHead
from shiftbench.head.gap import GlobalAverageHead
from shiftbench.head.gmp import GlobalMaxHead
from shiftbench.head.pyramid import PyramidHead
from shiftbench.model.resnet import ResNet
from shiftbench.model.vgg import VGG
from shiftbench.ops.geometry import space_to_batch
from shiftbench.ops.padding import pad2d
from shiftbench.pool import (
    AdaptivePolyphase2d,
    AvgPool2d,
    BlurPool2d,
    FrequencyLowCut2d,
    IdealPool2d,
    LpPool2d,
    MaxPool2d,
    NoPool2d,
    SoftPool2d,
    SpectralArtefactFree2d,
    Stride2d,
)
from shiftbench.predict.dense_network import DenseNetwork
from shiftbench.shift.circular import Circular

POOLS = (
    MaxPool2d, AvgPool2d, Stride2d, BlurPool2d, IdealPool2d, AdaptivePolyphase2d, NoPool2d,
    FrequencyLowCut2d, SpectralArtefactFree2d, LpPool2d, SoftPool2d,
)  # fmt: skip
HEADS = (GlobalAverageHead, GlobalMaxHead, FlattenHead, PyramidHead)


@pytest.mark.slow
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("model", [VGG, ResNet])
def test_it_gives_the_table_of_the_direct_engine(model, pool, head):
    assert_same(*tables(network(model, pool, head), inputs()))


@pytest.mark.slow
@pytest.mark.parametrize("pool", [p for p in POOLS if p not in (Stride2d, NoPool2d)])
@pytest.mark.parametrize("model", [VGG, ResNet])
def test_it_takes_pools_before_their_convolutions(model, pool):
    net = network(model, pool, GlobalAverageHead, SMALL, placement="before")
    assert_same(*tables(net, inputs(SMALL)))


@pytest.mark.parametrize("settings", [
    {"taps": "db2", "gain": 2.0}, {"taps": [1, 2, 5]}, {"taps": "ch4.4", "max_first": False},
])  # fmt: skip
def test_it_takes_other_filters(settings):
    net = network(VGG, functools.partial(BlurPool2d, **settings), FlattenHead, SMALL)
    assert_same(*tables(net, inputs(SMALL)))


def test_it_takes_a_learned_mean_with_a_maximum_before_it():
    pool = functools.partial(LpPool2d, learned=True, max_first=True)
    assert_same(*tables(network(VGG, pool, GlobalAverageHead, SMALL), inputs(SMALL)))


@pytest.mark.slow
@pytest.mark.parametrize("size", [(8, 24), (24, 8), (4, 4), (12, 20)])
@pytest.mark.parametrize("head", [GlobalAverageHead, FlattenHead])
def test_it_takes_sizes_that_are_not_square(size, head):
    assert_same(*tables(network(ResNet, BlurPool2d, head, size), inputs(size)))


@pytest.mark.slow
@pytest.mark.parametrize("downsamplings", [0, 1, 2, 3, 4])
def test_it_takes_every_total_stride(downsamplings):
    net = network(VGG, MaxPool2d, FlattenHead, downsamplings=downsamplings)
    assert_same(*tables(net, inputs()))


@pytest.mark.parametrize(
    "protocol",
    [Circular(3, "all"), Circular(sampling="all", path="horizontal"), Circular(5)],
    ids=str,
)
def test_it_serves_every_set_of_circular_shifts(protocol):
    assert_same(*tables(network(VGG, MaxPool2d, GlobalAverageHead), inputs(), protocol))


def test_auto_takes_it_where_it_holds_and_shows_every_shift():
    net = network(VGG, MaxPool2d, GlobalAverageHead)
    table = measure(net, inputs(), [0, 0, 0], "circular", resamples=10).predictions
    assert table.meta["engine"] == "dense"
    assert table.meta["exhaustive"] is True
    assert table.n_shifts == 256
    assert table.meta["self_check_flips"] == 0


class UserPool(nn.Module):
    """A user's plain module that supports the dense engine by its method ``all_phases``."""

    stride, pad = 2, "circular"

    def forward(self, x):
        return self._smooth(x)[:, :, ::2, ::2]

    def all_phases(self, x):
        return space_to_batch(self._smooth(x), (2, 2))

    def _smooth(self, x):
        return F.avg_pool2d(pad2d(x, (0, 1, 0, 1), "circular"), 2, 1).square()


def test_a_users_pool_takes_part_by_one_method():
    assert_same(*tables(Net(UserPool()), inputs()))


def test_a_head_of_several_position_aware_layers_is_shown_every_shift_once():
    """As in torchvision's VGG: adaptive pooling of the last feature map, then linear layers."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular"), nn.ReLU(), nn.MaxPool2d(2),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3),
    )  # fmt: skip
    assert_same(*tables(net, inputs()))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "shufflenet_v2_x0_5"])
def test_torchvisions_networks_made_circular(name):
    """All strided layers of these networks are supported."""
    dense, direct = (
        measure(
            from_torchvision(name), inputs((32, 32), 2), [0, 1], Circular(2),
            padding="circular", engine=engine, resamples=10,
        ).predictions
        for engine in ("dense", "direct")
    )  # fmt: skip
    assert_same(dense, direct)
    assert dense.meta["made_circular"]


def test_wide_networks_on_small_maps_use_it_and_agree():
    torch.manual_seed(0)
    net = VGG(5, 3, (16, 16), MaxPool2d, GlobalAverageHead, "circular", width=16).eval()
    assert_same(*tables(net, inputs()))


def test_the_network_itself_is_left_as_it_was():
    net = network(VGG, BlurPool2d, FlattenHead)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    layers = [type(module) for module in net.modules()]
    DenseNetwork(net)(inputs())
    assert [type(module) for module in net.modules()] == layers
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


def test_a_circular_shift_of_the_image_only_reorders_the_views():
    net = network(VGG, MaxPool2d, FlattenHead)
    dense, images = DenseNetwork(net), inputs()
    with torch.inference_mode():
        logits, moved = dense(images), dense(images.roll((3, -5), (2, 3)))
    shifts = torch.tensor([[0, 0], [1, 2], [-4, 7]])
    there = logits[:, dense.columns(shifts + torch.tensor([3, -5]))]
    torch.testing.assert_close(moved[:, dense.columns(shifts)], there, rtol=0, atol=1e-5)


def test_bounded_memory_means_fewer_images_at_once():
    net = network(VGG, MaxPool2d, GlobalAverageHead)
    from shiftbench.data.images import TensorSplit
    from shiftbench.predict.engine import Options, predict
    from shiftbench.predict.pixel_model import PixelModel

    cpu = PixelModel(net, [0.0] * 3, [1.0] * 3, torch.device("cpu"))
    split = TensorSplit(inputs(count=9), torch.zeros(9, dtype=torch.long))
    seen = []
    for gigabytes in (1.0, 0.001):
        predict(cpu, split, (3, 16, 16), Circular(), Options("dense", memory_gb=gigabytes),
                advance=lambda done, total: seen.append(done))  # fmt: skip
    assert seen[0] == 9
    assert len(seen) > 3
