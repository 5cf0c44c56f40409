"""Group-convolutional networks: known answers under rotations, pools, refusals, a short run."""

import math
from functools import partial

import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from quarter_turns import images, trained, turned_error

from shiftbench.api import measure
from shiftbench.errors import UsageError
from shiftbench.head.gap import GlobalAverageHead
from shiftbench.head.gmp import GlobalMaxHead
from shiftbench.head.mean import MeanHead
from shiftbench.model.cost import cost
from shiftbench.model.cyclic import CyclicNetwork
from shiftbench.model.group_maps import GroupConv2d, GroupNorm2d, OverRotations, turning_filters
from shiftbench.model.harmonic import HarmonicNetwork
from shiftbench.model.vgg import VGG
from shiftbench.pool import (
    AdaptivePolyphase2d,
    AvgPool2d,
    BlurPool2d,
    LocalImportancePool2d,
    LpPool2d,
    MaxPool2d,
    NoPool2d,
    SoftPool2d,
    Stride2d,
    WaveletPool2d,
)
from shiftbench.shift.circular import Circular
from shiftbench.shift.sampling import Sampling

PlainBlur = partial(BlurPool2d, max_first=False)


def network(pool=MaxPool2d, size=28, padding="zeros", head=GlobalAverageHead, width=2, **settings):
    torch.manual_seed(0)
    return CyclicNetwork(5, 1, (size, size), pool, head, padding, width, **settings)


EXACT = [
    (MaxPool2d, 28, "zeros"), (MaxPool2d, 32, "circular"), (AvgPool2d, 28, "reflect"),
    (LpPool2d, 28, "zeros"), (SoftPool2d, 28, "zeros"), (WaveletPool2d, 28, "zeros"),
    (Stride2d, 29, "zeros"), (PlainBlur, 29, "zeros"), (NoPool2d, 13, "zeros"),
    (NoPool2d, 12, "circular"), (MaxPool2d, 28, "full"),
]  # fmt: skip


@pytest.mark.parametrize(("pool", "size", "padding"), EXACT)
@pytest.mark.parametrize("order", [4, 8])
def test_quarter_turns_change_nothing_where_samples_are_symmetric(pool, size, padding, order):
    x = images(size)
    untrained = network(pool, size, padding, order=order).eval()
    assert turned_error(untrained, x) < 1e-5
    assert turned_error(trained(network(pool, size, padding, order=order), x), x) < 1e-5


@pytest.mark.parametrize("how", ["max", "mean"])
@pytest.mark.parametrize("size", [3, 5, 7])
@pytest.mark.parametrize("head", [GlobalAverageHead, GlobalMaxHead])
def test_with_every_size_of_filters_and_both_ends(how, size, head):
    x = images(12)
    net = network(NoPool2d, 12, head=head, kernel_size=size, over_rotations=how)
    assert turned_error(trained(net, x), x) < 1e-5


@pytest.mark.parametrize(("pool", "size"), [(MaxPool2d, 29), (Stride2d, 28), (PlainBlur, 28)])
def test_where_samples_are_not_symmetric_quarter_turns_change_the_logits(pool, size):
    x = images(size)
    assert turned_error(trained(network(pool, size), x), x) > 1e-4


@pytest.mark.parametrize("order", [4, 8])
def test_a_quarter_turn_of_the_image_turns_maps_and_moves_them_along_the_rotations(order):
    torch.manual_seed(0)
    first = GroupConv2d(1, 3, order, 5, "zeros", of_image=True).double()
    second = GroupConv2d(3, 2, order, 5, "zeros").double()
    x = images(9).double()

    def maps(x):
        return second(first(x)).detach().unflatten(1, (order, 2))

    expected = maps(x).rot90(1, (3, 4)).roll(order // 4, 1)
    torch.testing.assert_close(maps(x.rot90(1, (2, 3))), expected, rtol=1e-10, atol=1e-10)
    assert not torch.allclose(expected, maps(x).rot90(1, (3, 4)))


def test_filters_of_four_rotations_are_quarter_turns_of_the_weights():
    torch.manual_seed(0)
    layer = GroupConv2d(2, 3, 4, 3, "zeros", of_image=True)
    free = layer.weight.detach().view(3, 2, 3, 3)
    filters = layer.filters().detach().unflatten(0, (4, 3))
    assert all(torch.equal(filters[g], free.rot90(g, (2, 3))) for g in range(4))


def test_the_filter_between_two_rotations_depends_on_their_difference():
    torch.manual_seed(0)
    layer = GroupConv2d(1, 1, 4, 3, "zeros")
    free = layer.weight.detach().view(4, 3, 3)
    filters = layer.filters().detach()  # (output rotation, input rotation, 3, 3)
    for g in range(4):
        for h in range(4):
            assert torch.equal(filters[g, h], free[(h - g) % 4].rot90(g, (0, 1)))


@pytest.mark.parametrize(("size", "count"), [(3, 6), (5, 13), (7, 20)])
def test_turned_filters_have_as_many_numbers_as_harmonics_and_turn_twice_by_a_quarter(size, count):
    basis = turning_filters(size).double()
    assert basis.shape == (2, count, size**2)
    assert torch.linalg.matrix_rank(basis[0]) == count
    # twice by 45°: the change from upright to 45° applied to that is a quarter turn
    change = torch.linalg.lstsq(basis[0].T, basis[1].T).solution.T  # basis[1] = change @ basis[0]
    quarter = basis[0].unflatten(1, (size, size)).rot90(1, (1, 2)).flatten(1)
    torch.testing.assert_close(change @ basis[1], quarter, rtol=1e-5, atol=1e-5)


def blobs(degrees, sigma=2.0, side=33, count=32):
    """Images of twelve Gaussians about the centre, turned counter-clockwise as functions."""
    generator = torch.Generator().manual_seed(1)
    axis = torch.arange(side, dtype=torch.float64) - side // 2
    plane = torch.complex(axis.expand(side, side), -axis[:, None].expand(side, side))
    places = 4 * torch.randn(count, 12, dtype=torch.complex128, generator=generator)
    heights = torch.randn(count, 12, dtype=torch.float64, generator=generator)
    turn = complex(math.cos(math.radians(degrees)), math.sin(math.radians(degrees)))
    distance = (plane - (turn * places)[..., None, None]).abs()
    return (heights[..., None, None] * torch.exp(-(distance**2) / (2 * sigma**2))).sum(1)[:, None]


def error_at_the_centre(order, degrees):
    """Relative change of the maps of two layers, moved along the rotations, at the centre pixel."""
    torch.manual_seed(0)
    first = GroupConv2d(1, 8, order, 5, "zeros", of_image=True).double()
    second = GroupConv2d(8, 8, order, 5, "zeros").double()

    def centre(x):
        return second(first(x).relu()).detach()[:, :, 16, 16].unflatten(1, (order, 8))

    before, after = centre(blobs(0)), centre(blobs(degrees))
    moved = before.roll(degrees * order // 360, 1)
    return float((after - moved).norm() / before.norm())


def test_eight_rotations_follow_an_image_that_turns_by_45_degrees_to_3_per_cent():
    assert error_at_the_centre(8, 90) < 1e-6
    assert 0.01 < error_at_the_centre(8, 45) < 0.04
    assert error_at_the_centre(4, 45) > 0.2


def test_the_norm_of_a_feature_is_shared_by_its_rotations():
    layer = GroupNorm2d(2, 4)
    x = torch.randn(3, 8, 5, 5)
    pixels = x.unflatten(1, (4, 2)).transpose(1, 2)  # (N, features, rotations, H, W)
    expected = F.batch_norm(pixels, None, None, training=True).transpose(1, 2).flatten(1, 2)
    torch.testing.assert_close(layer(x), expected)
    last = x.contiguous(memory_format=torch.channels_last)
    assert torch.equal(layer(last), layer(x))


def test_over_rotations():
    x = torch.arange(8.0).view(1, 8, 1, 1)  # rotations (0, 1), (2, 3), (4, 5), (6, 7)
    assert OverRotations(4, "max")(x).flatten().tolist() == [6, 7]
    assert OverRotations(4, "mean")(x).flatten().tolist() == [3, 4]


def test_parameters_and_the_controls_with_about_as_many():
    """The numbers that the docstrings and yaml files state."""

    def params(model, pool, head, **settings):
        net = model(10, 1, (28, 28), pool, head, **settings)
        return cost(net, (1, 28, 28)).params

    gap = GlobalAverageHead
    assert params(CyclicNetwork, MaxPool2d, gap) == 199_154
    assert params(CyclicNetwork, MaxPool2d, gap, order=8) == 206_994
    assert params(CyclicNetwork, MaxPool2d, gap, width=3) == 28_189
    assert params(HarmonicNetwork, AvgPool2d, MeanHead) == 22_826
    assert params(VGG, MaxPool2d, gap, width=9, downsamplings=2) == 183_835
    assert params(VGG, MaxPool2d, gap, width=3, downsamplings=2) == 20_785


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [({"width": 0}, r"model\.width=0"), ({"order": 6}, "order=6 .*4, 8"),
     ({"kernel_size": 4}, "kernel_size=4 .*3, 5, 7"), ({"over_rotations": "sum"}, "max, mean")],
)  # fmt: skip
def test_values_that_are_not_allowed_are_refused(setting, sentence):
    with pytest.raises(UsageError, match=sentence):
        network(**setting)


@pytest.mark.parametrize("pool", [MaxPool2d, BlurPool2d, AdaptivePolyphase2d, LpPool2d])
def test_on_a_torus_all_shifts_are_computed_at_once(pool):
    net = trained(network(pool, 16, "circular"), images(16))
    pixels = (images(16).sigmoid() * 255).to(torch.uint8)
    protocol = Circular(sampling=Sampling(mode="all"))
    dense, direct = (
        measure(net, pixels, [0] * 4, protocol, engine=engine, resamples=10).predictions
        for engine in ("dense", "direct")
    )
    assert (dense.meta["engine"], direct.meta["engine"]) == ("dense", "direct")
    assert (dense.top1 == direct.top1).all()


@pytest.mark.parametrize("order", [4, 8])
def test_it_can_be_made_channels_last_without_changing_its_answer(order):
    x = images(16)
    net = network(LocalImportancePool2d, 16, order=order).eval()
    before = net(x)
    net.to(memory_format=torch.channels_last)
    torch.testing.assert_close(net(x.contiguous(memory_format=torch.channels_last)), before)


@pytest.mark.slow
@pytest.mark.parametrize("order", [4, 8])
def test_a_run_of_the_command_line(shiftbench_command, tiny, tmp_path, order):
    done = shiftbench_command("model=cyclic", f"model.order={order}", *tiny, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    [file] = (tmp_path / "outputs").glob("runs/*/metrics.csv")
    assert set(pd.read_csv(file)["head"]) == {"gap"}
