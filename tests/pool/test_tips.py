"""TIPS as published: weights, losses, and that it is not invariant."""

import copy

import pytest
import torch
import torch.nn.functional as F

from shiftbench.api import measure
from shiftbench.errors import UsageError
from shiftbench.head.gap import GlobalAverageHead
from shiftbench.model.resnet import ResNet
from shiftbench.model.vgg import VGG
from shiftbench.pool import AdaptivePolyphase2d, StepStart, TipsPool2d
from shiftbench.shift.circular import Circular


def pool(channels=4, **settings):
    torch.manual_seed(0)
    made = TipsPool2d(channels, **settings).double()
    torch.nn.init.normal_(made.respond.weight)
    torch.nn.init.normal_(made.scale, 1.0)
    return made


def maps(size=(8, 8), channels=4, count=3):
    draw = torch.Generator().manual_seed(1)
    return torch.randn(count, channels, *size, generator=draw, dtype=torch.float64)


def start(progress, seed=0):
    return StepStart(progress, 3, slice(None), torch.Generator().manual_seed(seed))


def weights_of(made, x):
    """The weights ``(N, C, s²)``, written with torch's own pooling."""
    response = F.relu(F.conv2d(x, made.respond.weight, padding=1, groups=x.shape[1]))
    blocks = F.adaptive_avg_pool2d(response, made.stride).flatten(2)
    return torch.softmax(made.scale * blocks, 2), response


@pytest.mark.parametrize("stride", [2, 3])
def test_each_channel_mixes_the_grids_by_blocks_of_the_image(stride):
    made, x = pool(stride=stride), maps((2 * stride, 4 * stride))
    weights, _ = weights_of(made, x)
    places = [(i, j) for i in range(stride) for j in range(stride)]
    expected = sum(
        weights[:, :, grid, None, None] * x[:, :, i::stride, j::stride]
        for grid, (i, j) in enumerate(places)
    )
    torch.testing.assert_close(made(x), expected)


def test_with_equal_weights_it_is_average_pooling():
    made, x = pool(), maps()
    made.scale.data.zero_()
    torch.testing.assert_close(made(x), F.avg_pool2d(x, 2))


def test_an_odd_side_is_reflected_at_its_beginning():
    made, x = pool(), maps((7, 8))
    torch.testing.assert_close(made(x), made(F.pad(x, (0, 0, 1, 0), mode="reflect")))


@pytest.mark.parametrize("progress", [0.0, 0.2, 0.21, 0.9])
def test_the_losses_are_those_of_the_paper_from_the_wake_up_on(progress):
    made, x = pool().train(), maps()
    made.start_step(start(progress))
    made(x)
    task = torch.tensor(2.0, dtype=torch.float64)
    weights, response = weights_of(made, x)
    peaked = (1 - weights.square().sum(2).sqrt()).mean()
    shifts = [(dy, dx) for dy in range(-2, 3) for dx in range(-2, 3)]  # a quarter of 8
    undo = [(response - x.roll(shift, (2, 3))).square().mean() for shift in shifts]
    added = made.added_loss(task)
    expected = [peaked + 0.35 * (one - task) for one in undo]
    if progress < 0.21:
        assert float(added.detach()) == 0
    else:
        assert any(torch.isclose(added, one, rtol=1e-12) for one in expected)
    assert made.added_loss(task) is None  # of the last forward pass only


def test_the_shift_of_the_second_loss_is_drawn_anew_in_every_step():
    made, x, seen = pool().train(), maps(), set()
    for seed in range(20):
        made.start_step(start(0.5, seed))
        made(x)
        seen.add(round(float(made.added_loss(torch.tensor(0.0)).detach()), 12))
    assert 5 < len(seen) <= 20


def test_a_step_writes_in_place_so_that_a_captured_one_sees_it():
    made = pool()
    made.start_step(start(0.1))
    addresses = made.awake.data_ptr(), made._uniform.data_ptr()
    assert float(made.awake) == 0
    made.start_step(start(0.5, seed=1))
    assert float(made.awake) == 1
    assert (made.awake.data_ptr(), made._uniform.data_ptr()) == addresses


def test_nothing_is_held_in_testing_and_copies_hold_nothing():
    made, x = pool().eval(), maps()
    made(x)
    assert made.added_loss(torch.tensor(0.0)) is None
    made.train()(x)
    twin = copy.deepcopy(made)
    assert twin.added_loss(torch.tensor(0.0)) is None
    assert made.added_loss(torch.tensor(0.0)) is not None


@pytest.mark.slow
@pytest.mark.parametrize("model", [VGG, ResNet])
def test_a_network_of_it_is_not_invariant_against_the_published_claim(model):
    """Weights belong to places in the image, grids to phases; aps in its place is exact."""
    for kind, exact in ((TipsPool2d, False), (AdaptivePolyphase2d, True)):
        torch.manual_seed(0)
        net = model(4, 3, (16, 16), kind, GlobalAverageHead, "circular", width=8).double().eval()
        values = measure(
            net, torch.rand(3, 3, 16, 16, dtype=torch.float64), [0, 1, 2], Circular(sampling="all"),
            resamples=2,
        ).metrics.set_index("metric").value  # fmt: skip
        assert (values["exact_fraction"] == 1) == exact
        assert exact or values["exact_fraction"] < 0.1


def test_it_is_not_invariant_even_if_its_own_convolution_wraps_around():
    made, x = pool(), maps((16, 16))
    made.respond.padding_mode = "circular"
    seen = [F.relu(made(x.roll(shift, (2, 3)))).mean((2, 3)) for shift in [(0, 0), (1, 1), (8, 8)]]
    assert (seen[0] - seen[1]).abs().max() > 0.02
    # By half of the image, blocks change places, and grids do not.
    assert (seen[0] - seen[2]).abs().max() > 1e-4


@pytest.mark.parametrize("settings", [{"alpha": 2}, {"wake_up": -1}], ids=str)
def test_it_refuses_what_it_cannot_do(settings):
    with pytest.raises(UsageError, match="allowed"):
        TipsPool2d(4, **settings)
