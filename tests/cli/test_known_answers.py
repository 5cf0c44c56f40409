"""What theory says exactly, about untrained and trained networks."""

import pytest
import torch

from shiftbench.api import measure
from shiftbench.head.flatten import FlattenHead
from shiftbench.head.gap import GlobalAverageHead
from shiftbench.model.resnet import ResNet
from shiftbench.model.vgg import VGG
from shiftbench.pool import (
    AdaptivePolyphase2d,
    AvgPool2d,
    BlurPool2d,
    MaxPool2d,
    NoPool2d,
    Stride2d,
)
from shiftbench.shift.circular import Circular

SUBSAMPLING = (MaxPool2d, AvgPool2d, Stride2d, BlurPool2d)


SIDE = 32  # so that a total stride of 16 leaves more than one position to subsample


def network(pool, model=VGG, head=GlobalAverageHead, padding="circular", **settings):
    torch.manual_seed(3)
    return model(5, 3, (SIDE, SIDE), pool, head, padding, width=4, **settings)


def inputs(count=2):
    return torch.rand(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


def exact_fraction(net):
    result = measure(net, inputs(), [0, 0], Circular(sampling="all"), resamples=10)
    return float(result.metrics.set_index("metric").loc["exact_fraction", "value"])


@pytest.mark.slow
@pytest.mark.parametrize("pool", SUBSAMPLING)
@pytest.mark.parametrize("downsamplings", [1, 2, 3, 4])
def test_one_in_stride_squared_of_the_shifts_is_exact(pool, downsamplings):
    """Azulay & Weiss, sec. 3: with total stride D, 1/D² of the translations.

    (A last pool that covers its whole map would be a global pool and double the exact shifts.)
    """
    net = network(pool, downsamplings=downsamplings)
    assert exact_fraction(net) == pytest.approx(1 / 4**downsamplings)


@pytest.mark.slow
@pytest.mark.parametrize("pool", SUBSAMPLING)
def test_the_exact_shifts_are_the_multiples_of_the_stride(pool):
    net = network(pool, ResNet)
    table = measure(net, inputs(), [0, 0], Circular(sampling="all"), resamples=10).predictions
    exact = table.logit_change <= 1e-5 * table.logit_scale[:, None]
    multiple = (table.shifts % 4 == 0).all(1)
    assert (exact == multiple).all()


@pytest.mark.parametrize("pool", [NoPool2d, AdaptivePolyphase2d])
@pytest.mark.parametrize("model", [VGG, ResNet])
def test_global_and_aps_are_exact_under_every_circular_shift(pool, model):
    assert exact_fraction(network(pool, model)) == 1


@pytest.mark.parametrize("pool", [NoPool2d, AdaptivePolyphase2d])
def test_they_stay_exact_when_trained(pool):
    net = network(pool)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    for _ in range(5):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(inputs(3)), torch.tensor([0, 1, 2])).backward()
        optimizer.step()
    assert exact_fraction(net) == 1


def test_aps_is_not_exact_with_a_position_aware_head_or_zero_padding():
    assert exact_fraction(network(AdaptivePolyphase2d, head=FlattenHead)) < 0.5
    assert exact_fraction(network(AdaptivePolyphase2d, padding="zeros")) < 0.5


def test_aps_is_not_exact_under_translation():
    net = network(AdaptivePolyphase2d)
    result = measure(net, inputs(), [0, 0], "translate", resamples=10)
    value = result.metrics.set_index("metric").loc["exact_fraction", "value"]
    assert value == pytest.approx(1 / 81)  # the base view alone


def test_a_constant_network_is_consistent_and_that_says_nothing():
    """An untrained network often scores 1 on consistency; chance_consistency shows why."""

    class Constant(torch.nn.Module):
        def forward(self, x):
            return torch.tensor([[0.0, 1.0, 0.0]]).expand(len(x), 3)

    result = measure(Constant(), inputs(3), [0, 1, 2], "translate", resamples=10)
    values = result.metrics.set_index("metric")["value"]
    assert values["consistency"] == values["chance_consistency"] == 1
    assert values["accuracy"] == pytest.approx(1 / 3)
    assert values["top1_change"] == values["mean_absolute_change"] == 0


class LowPass(torch.nn.Module):
    """Remove every frequency that every second sample cannot carry."""

    def forward(self, x):
        low = [torch.fft.fftfreq(side).abs() < 0.25 for side in x.shape[2:]]
        return torch.fft.ifft2(torch.fft.fft2(x) * (low[0][:, None] & low[1])).real


class EverySecond(torch.nn.Module):
    def forward(self, x):
        return x[:, :, ::2, ::2]


def low_passed(head, between=torch.nn.Identity):
    """Two stages of a circular convolution, ideal low-pass, subsampling; total stride 4."""
    torch.manual_seed(3)
    layers = []
    for chans in (3, 8):
        layers += [torch.nn.Conv2d(chans, 8, 3, padding=1, padding_mode="circular")]
        layers += [between(), LowPass(), EverySecond()]
    return torch.nn.Sequential(*layers, *head)


def average_head():
    return [torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(8, 5)]


def test_a_shiftable_linear_network_is_invariant():
    """Simoncelli et al. 1992; Azulay & Weiss, sec. 3: no aliasing, and the average is invariant."""
    assert exact_fraction(low_passed(average_head())) == 1


@pytest.mark.parametrize(
    ("head", "between", "expected"),
    [
        # ReLU aliases; what it adds in the last stage, the low-pass after it takes away again.
        (average_head, torch.nn.ReLU, 1 / 2**2),
        (lambda: [torch.nn.AdaptiveMaxPool2d(1), torch.nn.Flatten(), torch.nn.Linear(8, 5)],
         torch.nn.Identity, 1 / 4**2),
        (lambda: [torch.nn.Flatten(), torch.nn.Linear(8 * 8 * 8, 5)], torch.nn.Identity,
         1 / SIDE**2),
    ],
    ids=["relu", "max head", "flatten head"],
)  # fmt: skip
def test_relu_or_another_head_undoes_it(head, between, expected):
    assert exact_fraction(low_passed(head(), between)) == pytest.approx(expected)


@pytest.mark.parametrize("protocol", ["subpixel", "crop"])
def test_aps_is_not_exact_under_half_pixel_shifts_or_crops(protocol):
    net = network(AdaptivePolyphase2d)
    result = measure(net, inputs(), [0, 0], protocol, resamples=10)
    table = result.predictions
    whole = (table.shifts % 1 == 0).all(1) & (protocol == "subpixel")
    exact = table.logit_change <= 1e-5 * table.logit_scale[:, None]
    base = (table.shifts == 0).all(1)
    assert exact[:, base].all()
    assert not exact[:, ~whole & ~base].any()
