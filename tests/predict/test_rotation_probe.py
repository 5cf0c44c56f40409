"""Rotation errors of layers: exact networks, by hand, and what strides do."""

import math

import pytest
import torch
from torch import nn

from shiftbench.errors import UsageError
from shiftbench.head.gap import GlobalAverageHead
from shiftbench.head.mean import MeanHead
from shiftbench.model.cyclic import CyclicNetwork
from shiftbench.model.harmonic import HarmonicNetwork
from shiftbench.ops.ring_filters import ring_harmonics
from shiftbench.pool import AvgPool2d, Stride2d
from shiftbench.pool.base import MakeDownsampling
from shiftbench.predict.rotation_probe import probe_rotations

QUARTERS = (0, 90, 180, 270)


def images(count=3, size=28):
    return torch.rand(count, 1, size, size, generator=torch.Generator().manual_seed(0))


def symmetric():
    """A convolution with a ring as its filter: equivariant under quarter turns."""
    layer = nn.Conv2d(1, 1, 5, padding=2, bias=False)
    layer.weight.data = ring_harmonics(0)[2].real.float()[None, None]
    return layer


def network(pool, size=28):
    torch.manual_seed(0)
    return HarmonicNetwork(10, 1, (size, size), MakeDownsampling(pool), MeanHead, width=2).eval()


def test_every_layer_of_a_harmonic_network_is_exact_under_quarter_turns():
    rows = probe_rotations(network(AvgPool2d), images(), angles=QUARTERS)
    assert rows["equivariance_error"].max() < 1e-5
    assert rows["invariance_error"].max() < 1e-5
    maps = rows["equivariance_error"].notna()
    assert maps.sum() == 4 * (len(rows["index"].unique()) - 1)  # all layers but the head
    assert list(rows.query("index == 0")["angle"]) == list(QUARTERS)


@pytest.mark.parametrize("order", [4, 8])
def test_every_layer_of_a_cyclic_network_is_exact_under_quarter_turns(order):
    torch.manual_seed(0)
    pool = MakeDownsampling(AvgPool2d)
    model = CyclicNetwork(5, 1, (28, 28), pool, GlobalAverageHead, width=2, order=order).eval()
    rows = probe_rotations(model, images(), angles=QUARTERS)
    assert rows["equivariance_error"].max() < 1e-5
    assert rows["equivariance_error"].notna().mean() > 0.9
    eighth = probe_rotations(model, images(), angles=[45])["equivariance_error"][0]
    assert (eighth < 0.3) == (order == 8)  # its filters turn by 45°, those of order 4 do not


def test_the_phases_of_its_maps_turn():
    """Without the factors e^(imθ), maps of order 1 would be wrong by √2 under a quarter turn."""
    model = network(AvgPool2d)
    first = model.features[0]
    first.rotated_channels = lambda maps, degrees: maps
    rows = probe_rotations(model, images(), angles=[90]).set_index("layer")
    wrong = rows.loc["features.0", "equivariance_error"]
    with torch.no_grad():
        parts = first(images()).unflatten(1, (2, 2, -1))  # (part, order, channel)
    share = (parts[:, :, 1] ** 2).sum() / (parts**2).sum()
    assert wrong == pytest.approx(math.sqrt(2 * float(share)), rel=0.1)  # pixels outside the circle


def test_subsampling_breaks_it_from_its_layer_on():
    rows = probe_rotations(network(Stride2d), images(), angles=[90]).set_index("layer")
    errors = rows["equivariance_error"]
    assert errors.iloc[:2].max() < 1e-5 and errors.iloc[2] > 0.1  # the third has stride 2


def test_a_symmetric_filter_is_exact_and_another_one_is_not():
    assert (
        probe_rotations(symmetric(), images(), angles=QUARTERS)["equivariance_error"].max() < 1e-6
    )
    torch.manual_seed(1)
    plain = nn.Conv2d(1, 4, 5, padding=2)
    errors = probe_rotations(plain, images(), angles=[0, 90])["equivariance_error"]
    assert errors[0] < 1e-6 < 0.1 < errors[1]


def test_other_angles_have_the_error_of_interpolation():
    rows = probe_rotations(symmetric(), images(), angles=[45, 90]).set_index("angle")
    assert 1e-3 < rows.loc[45, "equivariance_error"] < 0.3
    smooth = torch.nn.functional.avg_pool2d(images(size=36), 9, 1)  # 28 px, of low frequencies
    smoother = probe_rotations(symmetric(), smooth, angles=[45])["equivariance_error"][0]
    assert smoother < rows.loc[45, "equivariance_error"] / 2


def test_layers_without_maps_have_the_invariance_error_only():
    model = nn.Sequential(symmetric(), nn.Flatten(), nn.Linear(784, 3))
    rows = probe_rotations(model, images(), angles=[90])
    assert rows["equivariance_error"].isna().tolist() == [False, True, True]
    assert (rows["invariance_error"].iloc[1:] > 0.01).all()


def test_what_cannot_be_rotated_is_refused():
    with pytest.raises(UsageError, match="images of 20×28 px cannot be rotated"):
        probe_rotations(symmetric(), images()[:, :, :20])
    with pytest.raises(UsageError, match="has none"):
        probe_rotations(symmetric(), images(), angles=[])
