"""Local importance pooling: its beginning, known weights, all grids."""

import pytest
import torch
import torch.nn.functional as F

from shiftbench.errors import UsageError
from shiftbench.head.gap import GlobalAverageHead
from shiftbench.model.vgg import VGG
from shiftbench.pool import LocalImportancePool2d

BOTH = pytest.mark.parametrize("importance", ["simplified", "bottleneck"])


def pool(importance="simplified", padding="circular", channels=4):
    """A pool with random weights in float64."""
    torch.manual_seed(0)
    made = LocalImportancePool2d(channels, 2, padding, importance, width=6).double()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter)
    return made


def maps(size=(8, 8), channels=4):
    draw = torch.Generator().manual_seed(1)
    return torch.randn(2, channels, *size, generator=draw, dtype=torch.float64)


@BOTH
@pytest.mark.parametrize("size", [(8, 8), (7, 9)])
def test_it_begins_as_the_mean_of_the_window(importance, size):
    x = maps(size)
    pooled = LocalImportancePool2d(4, importance=importance).double()(x)
    expected = F.avg_pool2d(x, 3, 2, 1, count_include_pad=False)
    torch.testing.assert_close(pooled, expected)


@BOTH
def test_it_is_the_weighted_mean_of_every_second_window(importance):
    made, x = pool(importance), maps()
    weights = torch.exp(12 * torch.sigmoid(made.logits(x)))
    assert weights.min() >= 1
    x, weights = (F.pad(one, (1, 1, 1, 1), mode="circular") for one in (x, weights))
    pooled = made(maps())
    for row, column in [(0, 0), (1, 3), (3, 2)]:
        place = (..., slice(2 * row, 2 * row + 3), slice(2 * column, 2 * column + 3))
        expected = (x[place] * weights[place]).sum((2, 3)) / weights[place].sum((2, 3))
        torch.testing.assert_close(pooled[:, :, row, column], expected)


def test_pixels_of_equal_value_keep_it_whatever_their_importance():
    made = pool(padding="zeros")
    constant = torch.full((1, 4, 7, 8), 3.0, dtype=torch.float64)
    torch.testing.assert_close(made(constant), torch.full((1, 4, 4, 4), 3.0, dtype=torch.float64))


@BOTH
def test_all_phases_are_the_pools_of_the_rolled_map(importance):
    made, x = pool(importance), maps()
    phases = made.all_phases(x).unflatten(0, (2, 2, 2))
    for py in range(2):
        for px in range(2):
            torch.testing.assert_close(phases[:, py, px], made(x.roll((-py, -px), (2, 3))))


def test_a_network_does_not_draw_the_weights_that_begin_at_zero():
    net = VGG(3, 3, (16, 16), LocalImportancePool2d, GlobalAverageHead, width=4)
    pools = [module for module in net.modules() if isinstance(module, LocalImportancePool2d)]
    assert len(pools) == 2
    assert not any(made.logits[0].weight.any() for made in pools)


def test_a_map_of_one_pixel_is_refused_when_the_network_is_built():
    with pytest.raises(UsageError, match=r"a map of 1×1; use larger images"):
        VGG(3, 3, (8, 8), LocalImportancePool2d, GlobalAverageHead, width=4, downsamplings=4)


@pytest.mark.parametrize("settings", [{"importance": "linear"}, {"width": 0}], ids=str)
def test_it_refuses_what_it_cannot_do(settings):
    with pytest.raises(UsageError, match="allowed"):
        LocalImportancePool2d(4, **settings)


def test_it_answers_in_the_type_that_it_is_given():
    x = torch.randn(2, 4, 8, 8).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        assert LocalImportancePool2d(4)(x).dtype == torch.bfloat16
