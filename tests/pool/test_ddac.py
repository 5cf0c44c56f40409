"""Predicted low-pass filters: what their taps sum to, known filters, all grids."""

import pytest
import torch
import torch.nn.functional as F

from shiftbench.errors import UsageError
from shiftbench.pool import AdaptiveBlur2d


def pool(channels=16, **settings):
    """A pool with random weights in float64, ready for testing."""
    torch.manual_seed(0)
    made = AdaptiveBlur2d(channels, **settings).double()
    made.norm.running_mean.normal_()
    return made.eval()


def maps(size=(8, 8), channels=16):
    draw = torch.Generator().manual_seed(1)
    return torch.randn(2, channels, *size, generator=draw, dtype=torch.float64)


@pytest.mark.parametrize("filter_size", [3, 5])
@pytest.mark.parametrize("padding", ["zeros", "circular"])
def test_a_constant_stays_with_filters_of_their_own(padding, filter_size):
    constant = torch.full((1, 16, 9, 8), 3.0, dtype=torch.float64)
    pooled = pool(padding=padding, filter_size=filter_size)(constant)
    assert pooled.shape == (1, 16, 5, 4)
    torch.testing.assert_close(pooled, torch.full_like(pooled, 3.0))


def test_jointly_normalised_filters_sum_to_one_over_the_groups_together():
    constant = torch.ones(1, 16, 8, 8, dtype=torch.float64)
    gains = pool(normalise="joint", padding="circular")(constant).unflatten(1, (8, 2))
    torch.testing.assert_close(gains[:, :, 0], gains[:, :, 1])
    torch.testing.assert_close(gains[:, :, 0].sum(1), torch.ones(1, 4, 4, dtype=torch.float64))
    assert gains.std() > 0.01  # its gain differs by group


@pytest.mark.parametrize(("normalise", "gain"), [("group", 1), ("joint", 1 / 8)])
def test_without_a_prediction_it_is_the_mean_of_the_window(normalise, gain):
    made = pool(normalise=normalise)
    made.norm.weight.data.zero_()
    x = maps()
    expected = gain * F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), 3, 2)
    torch.testing.assert_close(made(x), expected)


def test_every_group_has_a_filter_of_its_own_at_every_pixel():
    made, x = pool(padding="circular"), maps()
    padded = F.pad(x, (1, 1, 1, 1), mode="circular")
    taps = made.norm(F.conv2d(padded, made.predict.weight))
    filters = taps.unflatten(1, (8, 3, 3)).flatten(2, 3).softmax(2).unflatten(2, (3, 3))
    for channel, row, column in [(0, 0, 0), (5, 1, 2), (15, 3, 3)]:
        window = padded[0, channel, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
        expected = (window * filters[0, channel // 2, :, :, 2 * row, 2 * column]).sum()
        torch.testing.assert_close(made(x)[0, channel, row, column], expected)


@pytest.mark.parametrize("filter_size", [3, 5])
@pytest.mark.parametrize("normalise", ["group", "joint"])
def test_all_phases_are_the_pools_of_the_rolled_map(normalise, filter_size):
    made = pool(padding="circular", normalise=normalise, filter_size=filter_size)
    x = maps()
    phases = made.all_phases(x).unflatten(0, (2, 2, 2))
    for py in range(2):
        for px in range(2):
            torch.testing.assert_close(phases[:, py, px], made(x.roll((-py, -px), (2, 3))))


@pytest.mark.parametrize(("channels", "groups"), [(64, 8), (4, 4), (12, 4), (7, 1)])
def test_groups_divide_the_channels(channels, groups):
    assert AdaptiveBlur2d(channels).groups == groups
    assert AdaptiveBlur2d(channels)(torch.randn(2, channels, 6, 6)).shape == (2, channels, 3, 3)


@pytest.mark.parametrize(
    "settings", [{"filter_size": 4}, {"normalise": "each"}, {"groups": 0}], ids=str
)
def test_it_refuses_what_it_cannot_do(settings):
    with pytest.raises(UsageError, match="allowed"):
        AdaptiveBlur2d(16, **settings)


def test_a_map_too_small_to_reflect_is_refused():
    with pytest.raises(UsageError, match="reflect padding of 2 px needs a larger map, got 2×2"):
        AdaptiveBlur2d(4, filter_size=5)(torch.randn(2, 4, 2, 2))


def test_it_answers_in_the_type_that_it_is_given():
    x = torch.randn(2, 16, 8, 8).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        assert AdaptiveBlur2d(16)(x).dtype == torch.bfloat16
