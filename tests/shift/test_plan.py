"""The shifts under which images are tested."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from shiftbench.errors import UsageError
from shiftbench.shift.circular import Circular
from shiftbench.shift.plan import PATHS, square, torus
from shiftbench.shift.translate import Translate


def test_circular_is_every_offset_once_the_base_first():
    plan = Circular(sampling="all").plan(5, (4, 6))
    assert plan.exhaustive
    assert plan.shifts[0].tolist() == [0, 0]
    assert len({tuple(row) for row in plan.shifts.tolist()}) == len(plan) == 24
    assert plan.sampled.all()
    assert plan.shifts.amin(0).tolist() == [-2, -3]
    assert plan.shifts.amax(0).tolist() == [1, 2]


def test_translate_includes_both_ends():
    plan = Translate(max_shift=4).plan(5, (32, 32))
    assert len(plan) == 81
    assert plan.shifts.amin(0).tolist() == [-4, -4]
    assert plan.shifts.amax(0).tolist() == [4, 4]


@pytest.mark.parametrize("path", PATHS)
def test_previous_is_one_pixel_back_on_the_path(path):
    step = torch.tensor(PATHS[path])
    for plan, period in [
        (Circular(sampling="all", path=path).plan(1, (4, 6)), torch.tensor([4, 6])),
        (Translate(max_shift=2, path=path).plan(1, (8, 8)), None),
    ]:
        ends = (plan.previous >= 0).nonzero().squeeze(1)
        moved = plan.shifts[plan.previous[ends]] + step
        if period is not None:
            assert len(ends) == len(plan)  # a torus has no border
            assert torch.equal(moved % period, plan.shifts[ends] % period)
        else:
            assert torch.equal(moved, plan.shifts[ends])


@given(st.integers(1, 20), st.integers(2, 30), st.integers(0, 10), st.integers(0, 3))
def test_draws_are_different_offsets_of_every_image(n_images, draws, steps, seed):
    plan = Circular(sampling="draws", draws=draws, steps=steps, seed=seed).plan(n_images, (8, 8))
    assert not plan.exhaustive
    assert plan.shifts.shape[0] == n_images
    assert (plan.shifts[:, 0] == 0).all()
    assert int(plan.sampled.sum()) == draws
    for row in plan.shifts[:, plan.sampled].tolist():
        assert len({tuple(offset) for offset in row}) == draws
    ends = (plan.previous >= 0).nonzero().squeeze(1)
    assert len(ends) == min(steps, draws)
    moved = (plan.shifts[:, plan.previous[ends]] + 1) % 8
    assert torch.equal(moved, plan.shifts[:, ends] % 8)


def test_drawn_steps_stay_inside_a_grid_that_ends():
    plan = Translate(max_shift=6, sampling="draws", draws=10, steps=8).plan(50, (32, 32))
    assert plan.shifts.abs().max() == 6
    ends = (plan.previous >= 0).nonzero().squeeze(1)
    assert len(ends) == 8
    assert torch.equal(plan.shifts[:, plan.previous[ends]] + 1, plan.shifts[:, ends])


def test_draws_are_the_seeds_and_uniform():
    plans = [Circular(seed=seed).plan(4000, (16, 16)).shifts for seed in (0, 0, 1)]
    assert torch.equal(plans[0], plans[1])
    assert not torch.equal(plans[0], plans[2])
    counts = torch.bincount((plans[0][:, 1:33] % 16 * torch.tensor([16, 1])).sum(-1).flatten())
    expected = 4000 * 32 / 256
    assert len(counts) == 256
    assert (counts - expected).abs().max() < 6 * expected**0.5


def test_few_offsets_are_all_shown_unless_told():
    assert Circular(max_shift=5).plan(3, (32, 32)).exhaustive  # 121 offsets
    assert not Circular(max_shift=6).plan(3, (32, 32)).exhaustive  # 169
    assert not Circular(max_shift=5, sampling="draws").plan(3, (32, 32)).exhaustive
    assert Circular(sampling="draws", draws=500).plan(3, (8, 8)).exhaustive  # more than exist


def test_grids_begin_with_no_shift():
    assert square(3).offsets[0].tolist() == torus((3, 5)).offsets[0].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Translate(max_shift=32).plan(1, (32, 40)), "allowed: 1 to 31"),
        (lambda: Translate(max_shift=0).plan(1, (32, 32)), "max_shift=0"),
        (lambda: Circular(max_shift=16).plan(1, (32, 32)), "allowed: 1 to 15"),
        (lambda: Translate(fill="blak"), r"did you mean 'black'"),
        (lambda: Circular(sampling="some").plan(1, (8, 8)), "auto, all, draws"),
        (lambda: Circular(draws=1).plan(1, (8, 8)), "needs 2"),
        (lambda: Circular(steps=-1).plan(1, (8, 8)), "negative"),
        (lambda: Circular(path="up").plan(1, (8, 8)), "diagonal"),
    ],
)
def test_what_cannot_apply_is_refused(make, sentence):
    with pytest.raises(UsageError, match=sentence):
        make()
