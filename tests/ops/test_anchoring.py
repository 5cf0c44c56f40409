"""Polyphase anchoring of feature maps: known answers, all shifts, gradients."""

import pytest
import torch

from shiftbench.errors import ShiftbenchError
from shiftbench.ops.anchoring import anchor, strongest_grid

PERIODS = [(1, 1), (2, 2), (3, 4), (1, 8), (6, 8)]


def maps(count=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 3, 6, 8, generator=generator, dtype=torch.float64)


def test_a_bright_pixel_is_on_the_strongest_grid_of_its_image():
    x = torch.zeros(2, 1, 6, 8)
    x[0, 0, 3, 5] = -2.0
    x[1, 0, 0, 6] = 1.0
    assert strongest_grid(x, (2, 4)).tolist() == [[1, 1], [0, 2]]
    anchored = anchor(x, (2, 4))
    assert anchored.nonzero().tolist() == [[0, 0, 2, 4], [1, 0, 0, 4]]


def test_norms_are_over_channels_and_positions():
    x = torch.zeros(1, 2, 4, 4)
    x[0, :, 0, 0] = 3.0  # 18 on grid (0, 0)
    x[0, 0, 1::2, 1::2] = 2.5  # 25 on grid (1, 1)
    assert strongest_grid(x, (2, 2)).tolist() == [[1, 1]]
    x[0, 0, 0, 0] = 4.0  # 16 + 9
    assert strongest_grid(x, (2, 2)).tolist() == [[0, 0]], "of equal norms, the first"


@pytest.mark.parametrize("period", PERIODS)
def test_shifts_move_an_anchored_map_by_whole_periods(period):
    x = maps()
    anchored = anchor(x, period)
    assert strongest_grid(anchored, period).tolist() == [[0, 0], [0, 0]]
    rolls = [
        anchored.roll((dy, dx), (2, 3))
        for dy in range(0, 6, period[0])
        for dx in range(0, 8, period[1])
    ]
    for shift in [(dy, dx) for dy in range(6) for dx in range(8)]:
        shifted = anchor(x.roll(shift, (2, 3)), period)
        for image in range(2):
            assert any(torch.equal(shifted[image], roll[image]) for roll in rolls), shift


def test_half_precision_distinguishes_grids_that_it_would_sum_to_the_same():
    x = torch.ones(1, 1, 64, 64, dtype=torch.bfloat16)
    x[0, 0, 5, 2] = 1.0078125
    assert strongest_grid(x, (4, 4)).tolist() == [[1, 2]]


def test_gradients_are_rolled_back():
    x, weights = maps().requires_grad_(), maps(seed=1)
    grid = strongest_grid(x, (3, 4))
    (anchor(x, (3, 4)) * weights).sum().backward()
    for image, shift in enumerate(grid.tolist()):
        assert torch.equal(x.grad[image], weights[image].roll(shift, (1, 2)))


def test_a_period_that_does_not_divide_the_map_is_refused():
    with pytest.raises(ShiftbenchError, match=r"map of 6×8 .* period of 4×4, which does not"):
        anchor(maps(), (4, 4))
