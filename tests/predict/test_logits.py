"""Spread and change of logits if some classes are masked or infinite, or share a constant."""

import math

import pytest
import torch

from shiftbench.predict.logits import FLOAT32, NEVER, Rounding, change, cutoff, masked, scale

INF, NAN = math.inf, math.nan


def moved(base, view):
    return float(change(torch.tensor([[view]]), torch.tensor([[base]])))


@pytest.mark.parametrize(
    ("logits", "expected"),
    [
        ([1.0, 2.0, 3.0], INF),  # none is masked
        ([1.0, 2.0], INF),  # of two classes, none
        ([0.0, 1.0, -1e9], 1e8),  # a tenth of the gap
        ([0.0, 1.0, -1e4, -1e4], 1000.1),
        ([0.0, 1.0, -900.0], INF),  # 900 times the other gap: an outlier, no mask
        ([0.0, 1.0, -1e4, -INF], 1000.1),
        ([5.0, 5.0, -200.0], 20.5),  # two equal classes, and one with probability 0 in float32
        ([5.0, 5.0, -90.0], INF),
        ([0.0, 0.0, 0.0], INF),
        ([-INF, -INF, -INF], INF),
        ([INF, 1.0, 0.5, -1e9], 1e8),
        ([0.0, 1e-6, -1.0], INF),  # a near-tie of two, no mask
        ([0.0, 1e-6, 2e-6, -1.0], INF),  # three near-ties, and a class that may win in another view
        ([0.0, 0.016, 0.008, -45.0], INF),
        ([1.0, 1 - 1e-7, 1 - 2e-7, -1.0], INF),  # a saturated tanh
        ([1.0, 1 - 1e-5, 1 - 2e-4, 0.0], INF),  # a saturated sigmoid
        ([1.0, 1 - 1e-7, 1 - 2e-7, -1e4], 1000.1),
    ],
)
def test_how_far_behind_a_class_is_masked(logits, expected):
    assert float(cutoff(torch.tensor(logits))) == pytest.approx(expected, rel=1e-4)


def test_a_gap_behind_equal_ones_has_to_be_wider_than_the_softmax_sees():
    assert math.exp(-NEVER) < 2e-45 < math.exp(-(NEVER - 2))
    assert float(torch.tensor(-NEVER).exp()) == 0


def test_which_classes_are_masked():
    logits = torch.tensor([[0.0, 1.0, -1e4, -INF], [0.0, 1.0, 2.0, 3.0]])
    assert masked(logits, cutoff(logits)).tolist() == [[False, False, True, True], [False] * 4]


@pytest.mark.parametrize(
    ("logits", "expected"),
    [
        ([1.0, 2.0, 4.0], 3),
        ([-1e9, 1.0, 2.0, 4.0], 3),
        ([-INF, 1.0, 2.0, 4.0], 3),
        ([INF, 1.0, 2.0, 4.0], 3),
        ([NAN, 1.0, 2.0, 4.0], 3),
        ([100.0, 101.0, 102.0], 5.1),  # 5 % of the largest: a common constant reduces precision
        ([-INF] * 3, 0),
        ([7.0, 7.0, 7.0], 0.35),
        ([1.0, 1 - 1e-7, 1 - 2e-7, -1.0], 2),
        ([0.0, 0.0], 0),
    ],
)
def test_scale(logits, expected):
    assert float(scale(torch.tensor(logits), FLOAT32)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("base", "view", "expected"),
    [
        ([1.0, 2.0, 3.0], [1.0, 2.5, 2.75], 0.5),
        ([1.0, -INF, 3.0], [1.5, -INF, 3.0], 0.5),
        ([1.0, INF, 3.0], [1.5, INF, 3.0], 0.5),
        ([1.0, -INF, 3.0], [1.0, 0.0, 3.0], INF),
        ([1.0, INF, 3.0], [1.0, -INF, 3.0], INF),
        ([1.0, 2.0, -1e9], [1.5, 2.0, -1e9 + 64], 0.5),  # rounding of a mask is not a change
        ([1.0, 2.0, -1e9], [1.5, 2.0, 0.0], 1e9),  # masked in one view only
        ([0.0] * 3, [0.0] * 3, 0),
        ([1.0, 1 - 1e-7, 1 - 2e-7, -1.0], [1.0, 1 - 1e-7, 1 - 2e-7, 0.75], 1.75),
    ],
)
def test_change(base, view, expected):
    assert moved(base, view) == pytest.approx(expected)


@pytest.mark.parametrize("where", [0, 1])
def test_a_change_from_or_to_nan_is_nan(where):
    views = [[1.0, NAN], [1.0, 2.0]]
    assert math.isnan(moved(views[where], views[1 - where]))


@pytest.mark.parametrize(
    ("dtype", "tolerance", "floor"),
    [
        (torch.float64, 1e-5, 1e-10),
        (torch.float32, 1e-5, 0.05),
        (torch.bfloat16, 2**-7, 1.0),
        (torch.float16, 2**-10, 1.0),
    ],
)
def test_rounding_by_type(dtype, tolerance, floor):
    rounding = Rounding.of(dtype)
    assert (rounding.tolerance, rounding.floor) == (tolerance, floor)
    assert rounding.engines >= 8 * tolerance


def test_tf32_keeps_ten_bits():
    assert Rounding.of(torch.float32, tf32=True).tolerance == 2**-10
    assert Rounding.of(torch.float64, tf32=True) == Rounding.of(torch.float64)
