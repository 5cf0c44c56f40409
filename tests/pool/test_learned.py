"""What all pools with parameters have in common: they train everywhere, and say what they are."""

from functools import partial

import numpy as np
import pytest
import torch

from shiftbench.api import measure
from shiftbench.augment.none import NoAugment
from shiftbench.errors import ShiftbenchError, UsageError
from shiftbench.head.flatten import FlattenHead
from shiftbench.head.gap import GlobalAverageHead
from shiftbench.head.gmp import GlobalMaxHead
from shiftbench.head.pyramid import PyramidHead
from shiftbench.model.linear import LinearVGG
from shiftbench.model.resnet import ResNet
from shiftbench.model.vgg import VGG
from shiftbench.ops.padding import MODES
from shiftbench.optimizer.sgd import Sgd
from shiftbench.pool import (
    AdaptiveBlur2d,
    BlurPool2d,
    Downsampling,
    LearnedPolyphase2d,
    LocalImportancePool2d,
    MaxPool2d,
    SoftPolyphase2d,
    TipsPool2d,
)
from shiftbench.predict.layer_probe import probe
from shiftbench.predict.pixel_model import PixelModel
from shiftbench.runtime.distributed.team import Team
from shiftbench.settings.schema import Train
from shiftbench.shift.circular import Circular
from shiftbench.training.pool_steps import PoolSteps, pools_of, pools_with_loss
from shiftbench.training.step import EpochDraws, Step

POOLS = {
    "lip": LocalImportancePool2d,
    "lip bottleneck": partial(LocalImportancePool2d, importance="bottleneck", width=4),
    "ddac": AdaptiveBlur2d,
    "ddac joint": partial(AdaptiveBlur2d, normalise="joint"),
    "lps": LearnedPolyphase2d,
    "lps wide, blurred": partial(LearnedPolyphase2d, selector_width=1.0, filter_size=3),
    "soft_lps": SoftPolyphase2d,
    "tips": TipsPool2d,
}
NOT_DENSE = {"tips": "a convolution pads with zeros"}
HEADS = (GlobalAverageHead, GlobalMaxHead, FlattenHead, PyramidHead)
EVERY = pytest.mark.parametrize("pool", POOLS)
MODELS = pytest.mark.parametrize("model", [VGG, ResNet])


def network(model, pool, head=GlobalAverageHead, padding="circular", size=(16, 16)):
    torch.manual_seed(0)
    return model(4, 3, size, POOLS[pool], head, padding, width=4)


def images(count=8, size=(16, 16)):
    draw = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (count, 3, *size), generator=draw).to(torch.uint8)


@pytest.mark.slow
@EVERY
@MODELS
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("padding", MODES)
def test_it_takes_a_step_with_every_model_head_and_padding(model, pool, head, padding):
    net = network(model, pool, head, padding)
    before = [p.detach().clone() for p in net.parameters()]
    pixels = PixelModel(net.train(), (0.5,) * 3, (0.25,) * 3, torch.device("cpu"))
    steps = PoolSteps(net, pixels.device, 0, 8, Team())
    steps.start_epoch(1)
    steps.start_step(0.5)
    optimizer = Sgd()(net, Train(lr=0.01, weight_decay=0.0))
    draws = EpochDraws(NoAugment(), 8, Team())
    step = Step(pixels, draws, optimizer, 0.1, pools=pools_with_loss(net))
    loss, _ = step(images(), torch.arange(8) % 4, ())
    assert loss.isfinite()
    changed = [not torch.equal(old, new) for old, new in zip(before, net.parameters(), strict=True)]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())
    assert sum(changed) > len(changed) / 2
    with torch.no_grad():
        assert pixels.around(net.eval())(images()).isfinite().all()


@EVERY
@MODELS
def test_it_declares_its_parameters(model, pool):
    plain = model(4, 3, (16, 16), MaxPool2d, GlobalAverageHead, width=4)
    own = network(model, pool, padding="zeros")
    counts = [sum(p.numel() for p in net.parameters()) for net in (plain, own)]
    assert counts[1] > counts[0]
    assert all(isinstance(one, BlurPool2d) or one.has_parameters for one in pools_of(own))


@EVERY
def test_a_linear_network_refuses_it(pool):
    with pytest.raises(UsageError, match="model=linear needs a linear pool, got"):
        network(LinearVGG, pool)


@EVERY
@pytest.mark.slow
@pytest.mark.parametrize(("model", "head"), [(VGG, FlattenHead), (ResNet, GlobalAverageHead)])
def test_the_dense_engine_answers_as_the_direct_one_or_says_why_not(model, pool, head):
    net = network(model, pool, head, size=(8, 8)).double().eval()
    pixels, protocol = torch.rand(2, 3, 8, 8, dtype=torch.float64), Circular(sampling="all")
    measured = partial(measure, net, pixels, [0, 1], protocol, resamples=2)
    if pool in NOT_DENSE:
        with pytest.raises(ShiftbenchError, match=NOT_DENSE[pool]):
            measured(engine="dense")
        return
    dense, direct = (measured(engine=engine).predictions for engine in ("dense", "direct"))
    assert (dense.meta["engine"], direct.meta["engine"]) == ("dense", "direct")
    assert (dense.top1 == direct.top1).all()
    np.testing.assert_allclose(dense.p_true, direct.p_true, rtol=0, atol=1e-6)


def learned(part):
    return isinstance(part, Downsampling) and part.has_parameters


@EVERY
@MODELS
def test_the_layer_probe_shows_it_as_one_layer(model, pool):
    net = network(model, pool).eval()
    rows = probe(net, images(2), shifts=[(0, 0)])
    named = [name for name, part in net.named_modules() if learned(part)]
    own = rows[rows.layer.isin(named)]
    assert set(own.layer) == set(named)
    assert sorted(set(own.stride)) == [2, 4]
    inside = [name for name in rows.layer if any(name.startswith(f"{pool}.") for pool in named)]
    assert inside == []
