"""Harmonic networks: known answers under rotations, pools, what is refused, a short run."""

from functools import partial

import pandas as pd
import pytest
import torch
from hydra import compose, initialize_config_dir
from quarter_turns import images, trained, turned_error

from shiftbench.api import measure
from shiftbench.errors import ShiftbenchError, UsageError
from shiftbench.head.gap import GlobalAverageHead
from shiftbench.head.mean import MeanHead
from shiftbench.model.complex_maps import (
    HarmonicConv2d,
    MagnitudeMax2d,
    MagnitudeNorm,
    MagnitudeReLU,
    SumOfMagnitudes,
)
from shiftbench.model.cost import cost
from shiftbench.model.harmonic import HarmonicNetwork
from shiftbench.model.vgg import VGG
from shiftbench.pool import (
    AdaptiveBlur2d,
    AdaptivePolyphase2d,
    AvgPool2d,
    BlurPool2d,
    FrequencyLowCut2d,
    IdealPool2d,
    LearnedPolyphase2d,
    LocalImportancePool2d,
    LpPool2d,
    MaxPool2d,
    NoPool2d,
    SoftPolyphase2d,
    SoftPool2d,
    SpectralArtefactFree2d,
    Stride2d,
    TipsPool2d,
    WaveletPool2d,
)
from shiftbench.settings.hydra_patches import VERSION_BASE
from shiftbench.settings.labels import names
from shiftbench.settings.schema import CONFIG_DIR, register
from shiftbench.shift.circular import Circular
from shiftbench.shift.sampling import Sampling


def network(pool=AvgPool2d, size=28, padding="zeros", head=MeanHead, width=3, **settings):
    torch.manual_seed(0)
    return HarmonicNetwork(5, 1, (size, size), pool, head, padding, width, **settings)


EXACT = [
    (AvgPool2d, 28, "zeros"), (AvgPool2d, 32, "circular"), (AvgPool2d, 28, "reflect"),
    (MaxPool2d, 28, "zeros"), (MaxPool2d, 32, "circular"), (WaveletPool2d, 28, "zeros"),
    (Stride2d, 29, "zeros"), (BlurPool2d, 29, "zeros"), (BlurPool2d, 25, "reflect"),
    (NoPool2d, 12, "zeros"), (NoPool2d, 13, "circular"), (AdaptivePolyphase2d, 28, "zeros"),
    (AdaptivePolyphase2d, 32, "circular"), (AvgPool2d, 28, "full"),
]  # fmt: skip


@pytest.mark.parametrize(("pool", "size", "padding"), EXACT)
@pytest.mark.parametrize("order", [0, 1, 2])
def test_quarter_turns_change_nothing_where_samples_are_symmetric(pool, size, padding, order):
    x = images(size).double()
    net = trained(network(pool, size, padding, max_order=order).double(), x)
    assert turned_error(net, x) < 1e-11
    untrained = network(pool, size, padding, max_order=order).double().eval()
    assert turned_error(untrained, x) < 1e-11


def test_in_single_precision_too():
    x = images()
    assert turned_error(trained(network(), x), x) < 1e-5


@pytest.mark.parametrize(
    ("pool", "size"), [(AvgPool2d, 29), (MaxPool2d, 29), (Stride2d, 28), (BlurPool2d, 28)]
)
def test_where_samples_are_not_symmetric_quarter_turns_change_the_logits(pool, size):
    x = images(size).double()
    assert turned_error(trained(network(pool, size).double(), x), x) > 1e-4


def test_aps_is_exact_under_circular_shifts_and_quarter_turns_together():
    x = images(32).double()
    net = trained(network(AdaptivePolyphase2d, 32, "circular").double(), x)
    with torch.no_grad():
        moved = net(x.roll((3, 5), (2, 3)).rot90(1, (2, 3)))
        torch.testing.assert_close(moved, net(x), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("order", [1, 2])
def test_feature_maps_of_order_m_turn_by_the_phase_m(order):
    torch.manual_seed(0)
    orders, chans = order + 1, 3
    first = HarmonicConv2d(1, chans, 1, orders, "zeros", real_input=True).double()
    second = HarmonicConv2d(chans, chans, orders, orders, "zeros").double()
    x = images(9).double()

    def maps(x):
        z = second(first(x)).detach()
        real, imaginary = z.unflatten(1, (2, orders, chans)).unbind(1)
        return torch.complex(real, imaginary)

    before, after = maps(x), maps(x.rot90(1, (2, 3)))
    for m in range(orders):
        expected = (1, 1j, -1, -1j)[m % 4] * before[:, m].rot90(1, (2, 3))
        torch.testing.assert_close(after[:, m], expected, rtol=1e-10, atol=1e-10)


def test_filters_are_sums_of_rings_times_the_phase():
    torch.manual_seed(0)
    layer = HarmonicConv2d(2, 3, 1, 2, "zeros", real_input=True)
    filters = layer.filters().detach().unflatten(0, (2, 2, 3))  # part, order, channel
    real, imaginary = filters
    sums = torch.complex(*(layer.rings.detach() @ part[:, None] for part in layer.harmonics))
    expected = sums * torch.exp(1j * layer.phases.detach())[..., None]
    torch.testing.assert_close(torch.complex(real, imaginary).flatten(-2), expected)


def test_a_negative_order_has_the_conjugate_filters():
    """From order 1 to 0 the filters are conjugates of those from 0 to 1."""
    torch.manual_seed(0)
    layer = HarmonicConv2d(2, 3, 2, 2, "zeros")
    blocks = layer.filters().detach().unflatten(0, (2, 2, 3)).unflatten(3, (2, 2, 2))
    real, imaginary = blocks[0, :, :, 0], blocks[1, :, :, 0]  # of real inputs: (o, out, i, in)
    assert torch.equal(real[0, :, 1], real[1, :, 0])
    assert torch.equal(imaginary[0, :, 1], -imaginary[1, :, 0])
    assert torch.equal(blocks[0, :, :, 1], -imaginary)  # i times i is −1
    assert torch.equal(blocks[1, :, :, 1], real)


def test_magnitudes_change_and_phases_stay():
    z = torch.tensor([3.0, 0.3, 4.0, 0.4]).view(1, 4, 1, 1)  # 3 + 4i and 0.3 + 0.4i
    relu = MagnitudeReLU(2)
    torch.testing.assert_close(relu(z), z)
    relu.bias.data.fill_(-1)
    expected = torch.tensor([2.4, 0, 3.2, 0]).view(1, 4, 1, 1)
    torch.testing.assert_close(relu(z), expected, rtol=1e-5, atol=1e-5)
    norm = MagnitudeNorm(2).eval()
    norm.norm.running_mean.fill_(1)
    torch.testing.assert_close(norm(z), expected, rtol=1e-4, atol=1e-4)


def test_gradients_are_finite_where_maps_are_zero():
    for layer in (MagnitudeReLU(2), MagnitudeNorm(2), SumOfMagnitudes(1)):
        z = torch.zeros(3, 4, 2, 2, requires_grad=True)
        layer(z).sum().backward()
        assert z.grad.isfinite().all()


def test_the_largest_magnitude_is_kept_with_its_phase():
    z = torch.zeros(1, 2, 2, 2)
    z[0, :, 0, 1] = torch.tensor([-3.0, 4.0])
    z[0, :, 1, 0] = torch.tensor([4.5, 0.0])
    assert MagnitudeMax2d(2)(z).flatten().tolist() == [-3, 4]


def test_the_network_of_the_paper_has_the_parameters_that_its_docstring_states():
    net = HarmonicNetwork(10, 1, (28, 28), AvgPool2d, MeanHead)
    spent = cost(net, (1, 28, 28))
    assert spent.params == 22_826
    assert f"{spent.params:,} parameters" in HarmonicNetwork.__doc__
    assert f"{round(spent.macs / 1e6)} million multiply-adds" in HarmonicNetwork.__doc__
    assert net.total_stride == 4


POOLS = [
    AvgPool2d, BlurPool2d, WaveletPool2d, Stride2d, NoPool2d, MaxPool2d, IdealPool2d,
    FrequencyLowCut2d, SpectralArtefactFree2d, AdaptivePolyphase2d, LearnedPolyphase2d,
    SoftPolyphase2d,
]  # fmt: skip
REFUSED = [LpPool2d, SoftPool2d, LocalImportancePool2d, AdaptiveBlur2d, TipsPool2d]


@pytest.mark.parametrize("pool", POOLS)
def test_a_linear_pool_or_one_that_selects_trains(pool):
    x = images(16)
    net = network(pool, 16, "circular")
    trained(net, x)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())
    assert net(x).isfinite().all()


@pytest.mark.parametrize("pool", REFUSED)
def test_other_pools_are_refused_with_those_that_are_allowed(pool):
    with pytest.raises(UsageError, match=rf"got {pool.__name__}; allowed: pool=avg, .* soft_lps"):
        network(pool)


def test_a_maximum_before_the_pool_has_no_place():
    with pytest.raises(UsageError, match=r"pool\.max_first=true"):
        network(partial(BlurPool2d, max_first=True))


@pytest.mark.parametrize(
    ("setting", "sentence"), [({"width": 0}, r"model\.width=0"), ({"max_order": 4}, "max_order=4")]
)
def test_values_out_of_range_are_refused(setting, sentence):
    with pytest.raises(UsageError, match=sentence):
        network(**setting)


def test_the_mean_head_needs_a_map_for_every_class():
    with pytest.raises(UsageError, match=r"each of the 5 classes, got 32 channels; use head=gap"):
        VGG(5, 1, (16, 16), MaxPool2d, MeanHead, width=4)


@pytest.mark.parametrize("pool", [AvgPool2d, MaxPool2d, AdaptivePolyphase2d, NoPool2d])
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
    assert dense.n_shifts == 256


@pytest.mark.parametrize(
    ("pool", "padding", "reason"),
    [(AvgPool2d, "zeros", "a convolution pads with zeros"),
     (Stride2d, "circular", "a HarmonicConv2d subsamples in a way of its own")],
)  # fmt: skip
def test_otherwise_the_dense_engine_says_why_not(pool, padding, reason):
    net = network(pool, 16, padding).eval()
    with pytest.raises(ShiftbenchError, match=reason):
        measure(net, images(16).sigmoid(), [0] * 4, "circular", engine="dense", resamples=10)


def test_other_heads_take_the_class_maps():
    x = images(16)
    net = network(AvgPool2d, 16, head=GlobalAverageHead)
    assert net(x).shape == (4, 5)
    assert net.forward_features(x).shape == (4, 5, 4, 4)
    assert net.forward_features(x).min() > 0


def test_it_can_be_made_channels_last_without_changing_its_answer():
    x = images(16)
    net = network(AvgPool2d, 16).eval()
    before = net(x)
    net.to(memory_format=torch.channels_last)
    torch.testing.assert_close(net(x.contiguous(memory_format=torch.channels_last)), before)


@pytest.mark.parametrize(("model", "head"), [("harmonic", "mean"), ("vgg", "gap")])
def test_without_pools_it_keeps_its_head_which_is_global(model, head):
    register()
    choices = {"data": "shapes", "model": model, "pool": "global", "augment": "none",
               "train": "quick"}  # fmt: skip
    with initialize_config_dir(str(CONFIG_DIR), **VERSION_BASE):
        config = compose("config", [f"model={model}", "pool=global"])
    assert names(config, choices, [CONFIG_DIR]).head == head


@pytest.mark.slow
def test_a_run_of_the_command_line_has_the_pool_and_the_head_of_the_paper(
    shiftbench_command, tiny, tmp_path
):
    done = shiftbench_command("model=harmonic", *tiny, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    [file] = (tmp_path / "outputs").glob("runs/*/metrics.csv")
    rows = pd.read_csv(file)
    assert set(rows["pool"]) == {"avg"}
    assert set(rows["head"]) == {"mean"}
