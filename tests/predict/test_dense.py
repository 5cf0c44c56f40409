"""The dense engine gives the same table as the direct engine, or states why it does not apply."""

import functools
import logging

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from shiftbench.api import measure
from shiftbench.errors import ShiftbenchError
from shiftbench.head.flatten import FlattenHead
from shiftbench.head.gap import GlobalAverageHead
from shiftbench.head.gmp import GlobalMaxHead
from shiftbench.head.pyramid import PyramidHead
from shiftbench.model.resnet import ResNet
from shiftbench.model.vgg import VGG
from shiftbench.ops.fourier import basis
from shiftbench.ops.fourier_conv_inference import SpectralConv
from shiftbench.ops.geometry import rolls_to_batch, space_to_batch
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
from shiftbench.predict.phases import NotDenseError
from shiftbench.shift.circular import Circular

POOLS = (
    MaxPool2d, AvgPool2d, Stride2d, BlurPool2d, IdealPool2d, AdaptivePolyphase2d, NoPool2d,
    FrequencyLowCut2d, SpectralArtefactFree2d, LpPool2d, SoftPool2d,
)  # fmt: skip
HEADS = (GlobalAverageHead, GlobalMaxHead, FlattenHead, PyramidHead)
SMALL = (8, 8)
FLOATS = ("p_top1", "p_base", "p_previous", "p_true", "logit_change", "logit_scale")


def network(model, pool, head, size=(16, 16), **more):
    torch.manual_seed(0)
    return model(5, 3, size, pool, head, "circular", width=4, **more).eval()


def inputs(size=(16, 16), count=3, channels=3):
    return torch.rand(count, channels, *size, generator=torch.Generator().manual_seed(1))


def tables(net, images, protocol=Circular(sampling="all"), **more):  # noqa: B008
    labels = torch.arange(len(images)) % 3
    return [
        measure(net, images, labels, protocol, engine=engine, resamples=10, **more).predictions
        for engine in ("dense", "direct")
    ]


def assert_same(dense, direct, atol=2e-5):
    assert (dense.meta["engine"], direct.meta["engine"]) == ("dense", "direct")
    assert (dense.top1 == direct.top1).all()
    assert (dense.rank_true == direct.rank_true).all()
    for name in ("shifts", "sampled", "previous", "labels"):
        assert (getattr(dense, name) == getattr(direct, name)).all()
    for name in FLOATS:
        np.testing.assert_allclose(getattr(dense, name), getattr(direct, name), rtol=0, atol=atol)


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


def refused(net, size=(16, 16), protocol=Circular()):  # noqa: B008
    with pytest.raises(ShiftbenchError, match="the dense engine is not exact here") as error:
        measure(net, inputs(size), [0, 0, 0], protocol, engine="dense", resamples=10)
    result = measure(net, inputs(size), [0, 0, 0], protocol, resamples=10)
    assert result.predictions.meta["engine"] == "direct"
    return str(error.value)


class Net(nn.Sequential):
    """A circular convolution, given layers, and a global average."""

    def __init__(self, *layers, channels=3):
        torch.manual_seed(0)
        conv = nn.Conv2d(3, channels, 3, padding=1, padding_mode="circular")
        super().__init__(conv, *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


class Slice(nn.Module):
    """Subsampling in code, without a layer."""

    def forward(self, x):
        return x[:, :, ::2, ::2]


class TwoPaths(nn.Module):
    """Two branches, one subsampled once by 4, the other twice by 2."""

    def __init__(self):
        super().__init__()
        self.once = nn.Conv2d(3, 3, 1, stride=4)
        self.twice = nn.Sequential(nn.Conv2d(3, 3, 1, stride=2), nn.Conv2d(3, 3, 1, stride=2))

    def forward(self, x):
        return self.once(x) + self.twice(x)


class TwoHeads(nn.Module):
    """A network with two position-dependent read-outs."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Flatten(), nn.Flatten()

    def forward(self, x):
        return self.first(x[:, :1, :2, :2]) + self.second(x[:, 1:2, :2, :2])


@pytest.mark.parametrize(
    ("net", "reason"),
    [
        (nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
         "a convolution pads with zeros"),
        (Net(nn.Conv2d(3, 3, 3)), "changes the size of its map"),
        (Net(nn.Conv2d(3, 3, 3, padding="same")), "padding='same'"),
        (Net(nn.MaxPool2d(3, 2, 1)), "a MaxPool2d pads with a border of its own"),
        (Net(nn.MaxPool2d(3, 1)), "changes the size of its map"),
        (Net(nn.MaxPool2d(2, 2, dilation=2)), "is dilated"),
        (Net(BlurPool2d(3)), "a BlurPool2d pads with reflect"),
        (Net(Slice()), "differ by"),
        (nn.Sequential(TwoPaths(), nn.AdaptiveAvgPool2d(1), nn.Flatten()), "in different steps"),
        (TwoHeads(), "a dense pass fails"),
    ],
)  # fmt: skip
def test_it_says_why_it_does_not_hold_and_auto_goes_on_directly(net, reason):
    net = (
        nn.Sequential(net, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        if isinstance(net, TwoPaths)
        else net
    )
    assert reason in refused(net)


def test_a_size_that_the_stride_does_not_divide_is_refused():
    assert "not divisible" in refused(network(ResNet, MaxPool2d, GlobalAverageHead), (18, 18))


def test_draws_and_other_protocols_are_the_direct_engines():
    net = network(VGG, MaxPool2d, GlobalAverageHead)
    assert "samples random shifts" in refused(net, protocol=Circular(sampling="draws", draws=4))


def test_the_reason_is_logged_once(caplog):
    net = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with caplog.at_level(logging.INFO, logger="shiftbench"):
        logging.getLogger("shiftbench").propagate = True
        measure(net.eval(), inputs(), [0, 0, 0], "circular", resamples=10)
    lines = [record.getMessage() for record in caplog.records]
    assert lines == ["not every shift at once, since a convolution pads with zeros"]


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


def from_torchvision(name):
    """An untrained network, in float64 except for resnet18: others amplify rounding errors."""
    models = pytest.importorskip("torchvision.models")
    torch.manual_seed(0)
    net = models.get_model(name, weights=None, num_classes=5).eval()
    return net if name == "resnet18" else net.double()


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


@pytest.mark.slow
@pytest.mark.parametrize("name", ["squeezenet1_1", "swin_t"])
def test_torchvisions_networks_that_are_on_no_torus_are_refused(name):
    """These have windows without padding, or read positions after reshaping."""
    with pytest.raises(ShiftbenchError, match=r"features.* does not wrap around"):
        measure(
            from_torchvision(name), inputs((32, 32), 2), [0, 1], "circular",
            padding="circular", engine="dense",
        )  # fmt: skip


@given(st.integers(1, 5), st.integers(1, 5), st.integers(1, 3), st.integers(1, 3))
def test_space_to_batch_holds_every_grid(rows, columns, sy, sx):
    x = torch.rand(2, 3, rows * sy, columns * sx)
    grids = space_to_batch(x, (sy, sx)).unflatten(0, (2, sy, sx))
    for py in range(sy):
        for px in range(sx):
            assert torch.equal(grids[:, py, px], x[:, :, py::sy, px::sx])


def test_rolls_to_batch_holds_every_roll():
    x = torch.rand(2, 3, 4, 5)
    rolls = rolls_to_batch(x, (2, 3), -1).unflatten(0, (2, 2, 3))
    assert torch.equal(rolls[:, 1, 2], x.roll((-1, -2), (2, 3)))


@settings(deadline=None)
@given(st.integers(1, 8), st.integers(1, 8))
def test_the_fourier_basis_is_orthonormal(height, width):
    matrix = basis((height, width)).double()
    torch.testing.assert_close(
        matrix @ matrix.T, torch.eye(height * width).double(), rtol=0, atol=1e-5
    )


@settings(deadline=None, max_examples=40)
@given(
    st.tuples(st.integers(1, 8), st.integers(1, 8)),
    st.sampled_from([(3, 3), (1, 1), (2, 2), (5, 3)]),
    st.integers(1, 2),
    st.booleans(),
)
def test_a_spectral_convolution_is_the_convolution(size, kernel, dilation, with_bias):
    torch.manual_seed(0)
    x, weight = torch.randn(3, 4, *size), torch.randn(6, 4, *kernel)
    bias = torch.randn(6) if with_bias else None
    before = (dilation * (kernel[0] - 1) // 2, dilation * (kernel[1] - 1) // 2)
    after = (dilation * (kernel[0] - 1) - before[0], dilation * (kernel[1] - 1) - before[1])
    padded = pad2d(x, (before[1], after[1], before[0], after[0]), "circular")
    expected = F.conv2d(padded, weight, bias, dilation=dilation)
    spectral = SpectralConv(weight, bias, size, before, (dilation, dilation))
    torch.testing.assert_close(spectral(x), expected, rtol=0, atol=1e-4)


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


def test_a_module_that_is_one_layer_is_replaced_whole():
    with pytest.raises(NotDenseError, match="zeros"):
        DenseNetwork(nn.Conv2d(3, 3, 3, padding=1))


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
