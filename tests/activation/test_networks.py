"""Networks with other activations: exactness, engines, run ids and what is refused."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from hydra import compose, initialize_config_dir
from torch import nn

from shiftbench.activation.base import MakeActivation
from shiftbench.activation.gelu import GELU
from shiftbench.activation.poly import Polynomial
from shiftbench.activation.up_relu import UpReLU
from shiftbench.api import measure
from shiftbench.data.images import Dataset, TensorSplit
from shiftbench.errors import UsageError
from shiftbench.experiment import build
from shiftbench.head.gap import GlobalAverageHead
from shiftbench.model.linear import LinearVGG
from shiftbench.model.resnet import ResNet
from shiftbench.model.vgg import VGG
from shiftbench.pool import IdealPool2d, MaxPool2d
from shiftbench.settings.hydra_patches import VERSION_BASE
from shiftbench.settings.labels import Names
from shiftbench.settings.schema import CONFIG_DIR, register
from shiftbench.shift.subpixel import fourier_shift

OPTIONS = sorted(path.stem for path in (CONFIG_DIR / "activation").glob("*.yaml"))
SIDE = 8


def network(activation, model=VGG, pool=IdealPool2d, **settings):
    torch.manual_seed(1)
    make = None if activation is None else MakeActivation(activation)
    settings = {"downsamplings": 2} if model is VGG else settings
    return model(
        5,
        3,
        (SIDE, SIDE),
        pool,
        GlobalAverageHead,
        "circular",
        width=4,
        activation=make,
        **settings,
    )


def images(count=2):
    draw = torch.Generator().manual_seed(2)
    return torch.randn(count, 3, SIDE, SIDE, generator=draw, dtype=torch.float64)


@torch.no_grad()
def spread(net):
    """The largest change of the logits over all shifts by half pixels, relative to the logits."""
    halves = [(dy / 2, dx / 2) for dy in range(2 * SIDE) for dx in range(2 * SIDE)]
    [x] = images(1)
    views = fourier_shift(x.expand(len(halves), -1, -1, -1), torch.tensor(halves).double())
    logits = net(views)
    assert float(logits.std(1).min()) > 0
    return float((logits - logits[:1]).abs().max() / logits.abs().max())


@pytest.mark.parametrize("scale", [1.0, 7.0])
def test_poly_with_the_ideal_pool_is_exact_under_every_half_pixel_shift(scale):
    """Michaeli et al. 2023: trained or not. Squares need statistics of the norm, as in training."""
    net = network(partial(Polynomial, in_scale=scale, out_scale=scale)).double()
    for norm in (m for m in net.modules() if isinstance(m, nn.BatchNorm2d)):
        norm.momentum = 1.0
    with torch.no_grad():
        net.train()(images(16))
    assert spread(net.eval()) < 1e-11


def test_without_training_it_is_exact_with_scales_of_one():
    net = network(partial(Polynomial, in_scale=1.0, out_scale=1.0)).double().eval()
    assert spread(net) < 1e-11


@pytest.mark.parametrize("pool", [IdealPool2d, MaxPool2d])
def test_a_relu_is_not_and_neither_is_poly_with_another_pool(pool):
    activation = None if pool is IdealPool2d else partial(Polynomial, in_scale=1.0, out_scale=1.0)
    assert spread(network(activation, pool=pool).double().eval()) > 1e-6


def test_oversampling_a_relu_brings_it_closer():
    spreads = [
        spread(network(partial(UpReLU, factor=factor)).double().eval()) for factor in (1, 2, 8)
    ]
    assert spreads == sorted(spreads, reverse=True)


@pytest.mark.parametrize(("activation", "engine"), [
    (GELU, "dense"), (UpReLU, "dense"), (partial(UpReLU, factor=1.5), "direct"),
    (partial(Polynomial, in_scale=1.0, out_scale=1.0), "dense"),
])  # fmt: skip
def test_the_dense_engine_takes_those_that_commute_with_whole_shifts(activation, engine):
    net = network(activation, pool=MaxPool2d).eval()
    table = measure(net, images().float(), [0, 0], "circular", resamples=10).predictions
    assert table.meta["engine"] == engine


def test_a_resnet_takes_one_for_its_stem_and_two_for_each_block():
    net = network(UpReLU, ResNet, depth=20)
    assert sum(isinstance(m, UpReLU) for m in net.modules()) == 1 + 2 * 9
    assert not any(isinstance(m, nn.ReLU) for m in net.modules())


def test_a_resnet_of_polynomials_is_refused():
    with pytest.raises(UsageError, match="a Polynomial needs a norm right before it"):
        network(Polynomial, ResNet, depth=20)


def test_a_linear_network_has_none():
    with pytest.raises(UsageError, match="model=linear has no activation"):
        network(GELU, LinearVGG, depth=8)


@pytest.fixture(scope="module")
def composed():
    register()
    with initialize_config_dir(str(CONFIG_DIR), **VERSION_BASE):
        yield lambda *overrides: compose("config", list(overrides))


def toy():
    draw = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (8, 3, 16, 16), generator=draw).to(torch.uint8)
    split = TensorSplit(pixels, torch.arange(8) % 4)
    return Dataset("toy", tuple("abcd"), (3, 16, 16), (0.5,) * 3, (0.25,) * 3, split, split, split)


def built(composed, model, activation, *more):
    config = composed(f"model={model}", f"activation={activation}", "padding=circular", *more)
    return build.model(config, Names("", "toy", model, "max", "gap", "none", "none"), toy())


@pytest.mark.parametrize("model", ["vgg", "resnet"])
@pytest.mark.parametrize("activation", OPTIONS)
def test_every_option_trains_a_step_or_says_why_not(composed, model, activation):
    more = ("head=gap", "model.width=4")
    if (model, activation) == ("resnet", "poly"):
        with pytest.raises(UsageError, match="needs a norm"):
            built(composed, model, activation, *more)
        return
    net, data = built(composed, model, activation, *more), toy()
    loss = F.cross_entropy(net(data.train.images.float() / 255), data.train.labels)
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


def test_relu_is_the_network_of_earlier_releases(composed):
    net = built(composed, "resnet", "relu", "head=gap", "model.width=4")
    assert [type(m) for m in net.modules() if "ReLU" in type(m).__name__] == [nn.ReLU]  # the stem


def test_an_external_network_keeps_its_own(composed):
    with pytest.raises(
        UsageError, match=r"activation=gelu cannot be given to .*own; use model=vgg"
    ):
        built(
            composed, "torchvision", "gelu", "pool=native", "model.name=resnet18", "padding=zeros"
        )
