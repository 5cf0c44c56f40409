"""Harmonic networks: quarter turns are exact, orders are right, other pools are refused."""

import copy
from functools import partial

import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from shiftbench.errors import UsageError
from shiftbench.head.gap import GlobalAverageHead
from shiftbench.model.harmonic import Harmonic, HarmonicConv2d, MagnitudeNorm, MagnitudeReLU
from shiftbench.pool import AvgPool2d, BlurPool2d, IdealPool2d, MaxPool2d, Stride2d
from shiftbench.pool.base import MakeDownsampling
from shiftbench.pool.lps import LearnedPolyphase2d


def network(pool=AvgPool2d, size=28, **settings):
    torch.manual_seed(0)
    return Harmonic(10, 1, (size, size), MakeDownsampling(pool), GlobalAverageHead, **settings)


def trained(model, size):
    """Return the network after three steps on noise, in eval mode."""
    model = copy.deepcopy(model).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for step in range(3):
        images = torch.randn(16, 1, size, size, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        F.cross_entropy(model(images), torch.arange(16) % 10).backward()
        optimizer.step()
    return model.eval()


def quarter_turn_error(model, size):
    images = torch.randn(8, 1, size, size, generator=torch.Generator().manual_seed(9))
    with torch.no_grad():
        logits = model(images)
        turned = [model(torch.rot90(images, turns, (2, 3))) for turns in (1, 2, 3)]
    return max(float((one - logits).abs().max()) for one in turned) / float(logits.abs().max())


@pytest.mark.parametrize("padding", ["zeros", "circular", "reflect", "full"])
@pytest.mark.parametrize("steps", [0, 3])
def test_quarter_turns_are_exact(padding, steps):
    # Full padding grows maps by four at each convolution: their sizes stay even, too.
    model = network(padding=padding)
    model = trained(model, 28) if steps else model.eval()
    assert quarter_turn_error(model, 28) < 1e-5


@pytest.mark.parametrize(("size", "settings"), [
    (32, {"max_order": 2, "width": 4}), (15, {"downsamplings": 0, "width": 4}),
    (12, {"downsamplings": 1, "width": 4, "max_order": 0}),
])  # fmt: skip
def test_so_they_are_for_other_orders_and_sizes(size, settings):
    assert quarter_turn_error(network(size=size, **settings).eval(), size) < 1e-5


@pytest.mark.parametrize(("pool", "size", "exact"), [
    (Stride2d, 28, False), (Stride2d, 29, True),
    (BlurPool2d, 28, False), (BlurPool2d, 29, True), (IdealPool2d, 28, False),
])  # fmt: skip
def test_subsampling_is_exact_where_the_grid_has_its_centre(pool, size, exact):
    """Of 29, 15 and 8 positions the kept ones, 0, 2, ..., are symmetric; of 28 they are not."""
    padding = "circular" if pool is IdealPool2d else "zeros"
    model = trained(network(pool, size, downsamplings=1, padding=padding), size)
    error = quarter_turn_error(model, size)
    assert error < 1e-5 if exact else error > 1e-4


@pytest.mark.parametrize("order", [0, 1, 2])
def test_maps_turn_by_their_order(order):
    torch.manual_seed(0)
    layers = torch.nn.Sequential(
        HarmonicConv2d(1, 3, max_order=2, of_image=True), MagnitudeReLU(3, 2),
        HarmonicConv2d(3, 4, max_order=2), MagnitudeNorm(4, 2), HarmonicConv2d(4, 2, max_order=2),
    )  # fmt: skip
    layers[1].bias.data.normal_()
    layers = layers.double().eval()
    images = torch.randn(2, 1, 17, 17, dtype=torch.float64)
    maps, turned = (
        layers(x).unflatten(1, (3, 2, 2)) for x in (images, torch.rot90(images, 1, (2, 3)))
    )
    complex_maps = torch.complex(maps[:, order, 0], maps[:, order, 1])
    seen = torch.complex(turned[:, order, 0], turned[:, order, 1])
    expected = torch.rot90(complex_maps, 1, (2, 3)) * 1j**order
    torch.testing.assert_close(seen, expected, atol=1e-6, rtol=0)  # the basis is float32


def test_the_real_convolution_is_the_complex_one():
    torch.manual_seed(0)
    layer = HarmonicConv2d(2, 3).double()
    x = torch.randn(1, 8, 9, 9, dtype=torch.float64)
    z = torch.complex(*x.unflatten(1, (2, 2, 2)).unbind(2))
    of_zero, of_one = (torch.complex(*layer._filters(order)) for order in (0, 1))

    def filtered(maps, kernels):
        return F.conv2d(maps, kernels.to(maps), padding=2)

    zero = filtered(z[:, 0], of_zero) + filtered(z[:, 1], of_one.conj().resolve_conj())
    one = filtered(z[:, 0], of_one) + filtered(z[:, 1], of_zero)
    seen = torch.complex(*layer(x).unflatten(1, (2, 2, 3)).unbind(2))
    torch.testing.assert_close(seen, torch.stack((zero, one), 1), atol=1e-12, rtol=0)


def test_it_has_the_parameters_of_the_published_network():
    """Rings and phases of seven convolutions, biases, BatchNorm; a linear layer of 10 × 10 + 10."""
    convolutions = [(1, 8), (8, 8), (8, 16), (16, 16), (16, 32), (32, 32)]
    rings = sum(2 * (4 + 1) * into * out for into, out in convolutions) + 2 * 4 * 32 * 10
    between = sum(2 * width + 2 * 2 * width for width in (8, 16, 32))
    count = sum(parameter.numel() for parameter in network().parameters())
    assert count == rings + between + 110 == 22_926


def test_what_does_not_turn_is_refused():
    for pool in (MaxPool2d, LearnedPolyphase2d, partial(AvgPool2d, max_first=True)):
        with pytest.raises(UsageError, match=r"linear pool, got|no place for it"):
            network(pool)
    for settings in ({"max_order": 5}, {"width": 0}, {"downsamplings": 3}):
        with pytest.raises(UsageError, match=r"model\.\w+=\d is out of range"):
            network(**settings)


@pytest.mark.slow
def test_a_run_of_it_is_exact_under_quarter_turns(tmp_path, shiftbench_command):
    done = shiftbench_command(
        "model=harmonic", "model.width=2", "pool=avg", "data.size=16", "data.train_images=200",
        "data.test_images=40", "train.epochs=1", "shift=[rotate]", "shift.rotate.step=90",
        "measure.layers=false", "figures=false", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    [path] = tmp_path.glob("outputs/runs/*/metrics.csv")
    rows = pd.read_csv(path).set_index("metric")["value"]
    assert rows["consistency"] == 1
