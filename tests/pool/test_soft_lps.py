"""Mixtures of grids that move with the content: known cells, and exactness under every shift."""

import pytest
import torch
from exact_networks import assert_exact

from shiftbench.errors import UsageError
from shiftbench.head.gap import GlobalAverageHead
from shiftbench.head.gmp import GlobalMaxHead
from shiftbench.model.resnet import ResNet
from shiftbench.model.vgg import VGG
from shiftbench.pool import LearnedPolyphase2d, SoftPolyphase2d
from shiftbench.pool.polyphase import keep, mixture, mixture_from_largest


def pool(channels=8, padding="circular", **settings):
    torch.manual_seed(0)
    made = SoftPolyphase2d(channels, padding=padding, **settings).double()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter)
    return made.eval()


def maps(size=(8, 8), channels=8, count=6):
    draw = torch.Generator().manual_seed(1)
    return torch.randn(count, channels, *size, generator=draw, dtype=torch.float64)


@pytest.mark.parametrize("stride", [2, 3])
def test_cells_begin_at_the_grid_of_the_largest_weight(stride):
    x = maps((2 * stride, 4 * stride))
    weights = torch.rand(6, stride**2, dtype=torch.float64)
    weights[torch.arange(6), torch.arange(6) % stride**2] += 1
    mixed = mixture_from_largest(x, weights, stride, "circular")
    for image in range(6):
        first = divmod(image % stride**2, stride)
        for row, column in [(0, 0), (1, 2), (1, 3)]:
            expected = torch.zeros(8, dtype=torch.float64)
            for down in range(stride):
                for right in range(stride):
                    y = stride * row + first[0] + down
                    z = stride * column + first[1] + right
                    weight = weights[image, y % stride * stride + z % stride]
                    expected += weight * x[image, :, y % x.shape[2], z % x.shape[3]]
            torch.testing.assert_close(mixed[image, :, row, column], expected)


def test_a_weight_of_one_keeps_its_grid():
    x, phase = maps(), torch.arange(6) % 4
    weights = torch.eye(4, dtype=torch.float64)[phase]
    for pad in ("circular", "zeros", "reflect"):
        assert torch.equal(mixture_from_largest(x, weights, 2, pad), keep(x, phase, 2))


def test_if_the_first_grid_leads_it_is_the_plain_mixture():
    x, weights = maps(), torch.tensor([[0.7, 0.1, 0.05, 0.15]]).double().expand(6, -1)
    torch.testing.assert_close(
        mixture_from_largest(x, weights, 2, "circular"), mixture(x, weights, 2)
    )


@pytest.mark.parametrize(("pad", "expected"), [("zeros", 3.0), ("circular", 4.0), ("reflect", 6.0)])
def test_the_last_cell_takes_what_the_padding_says(pad, expected):
    x = torch.tensor([[[[1.0, 2.0, 3.0, 3.0]] * 2]])
    weights = torch.tensor([[0.0, 1.0, 0.0, 0.0]]) + torch.tensor([[0.999, 0.0, 0.0, 0.0]])
    last = mixture_from_largest(x, weights, 2, pad)[0, 0, 0, 1]
    torch.testing.assert_close(last, torch.tensor(expected), rtol=0, atol=0.01)


@pytest.mark.parametrize("filter_size", [1, 3])
@pytest.mark.parametrize("size", [(8, 8), (4, 12)])
def test_every_circular_shift_gives_the_same_values(size, filter_size):
    made, x = pool(filter_size=filter_size), maps(size)
    kept = made(x).flatten(2).sort(2).values
    for dy in range(size[0]):
        for dx in range(size[1]):
            moved = made(x.roll((dy, dx), (2, 3))).flatten(2).sort(2).values
            torch.testing.assert_close(moved, kept, rtol=0, atol=1e-12)


def test_a_mixture_of_grids_where_they_are_does_not():
    """Weights that move with the content are not enough: the grids move against each other."""
    made, x = pool(), maps()
    plain = [
        mixture(moved, made.phase(moved), 2).relu().mean((2, 3))
        for moved in (x, x.roll((1, 0), (2, 3)))
    ]
    assert (plain[0] - plain[1]).abs().max() > 0.05


@pytest.mark.slow
@pytest.mark.parametrize("head", [GlobalAverageHead, GlobalMaxHead])
@pytest.mark.parametrize("model", [VGG, ResNet])
@pytest.mark.parametrize("engine", ["dense", "direct"])
def test_a_network_with_random_weights_is_exact_under_every_shift(model, head, engine):
    assert_exact(model, SoftPolyphase2d, head, engine)


def test_at_a_low_temperature_it_is_lps():
    soft, x = pool(temperature=0.001), maps()
    hard = LearnedPolyphase2d(8, padding="circular").double().eval()
    hard.load_state_dict(soft.state_dict())
    torch.testing.assert_close(soft(x), hard(x))


def test_training_and_testing_compute_the_same():
    made, x = pool(), maps()
    assert torch.equal(made.train()(x), made.eval()(x))


@pytest.mark.parametrize("settings", [{"temperature": 0}, {"filter_size": 8}], ids=str)
def test_it_refuses_what_it_cannot_do(settings):
    with pytest.raises(UsageError, match="allowed"):
        SoftPolyphase2d(4, **settings)
