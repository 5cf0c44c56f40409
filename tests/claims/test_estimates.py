"""The deciding number and its interval, by hand and against scipy."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from shiftbench.claims import Number
from shiftbench.claims.blocks import blocks, single
from shiftbench.claims.estimates import Estimate, estimate, over_seeds, together

fractions = st.integers(0, 1000).map(lambda one: one / 1000)


@given(st.lists(fractions, min_size=2, max_size=8))
def test_the_interval_over_seeds_is_scipys(values):
    found = over_seeds(values)
    if len(set(values)) == 1:
        assert math.isnan(found.low) and not found.over
        return
    low, high = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
    assert found.value == pytest.approx(np.mean(values))
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-9)
    assert found.over == f"{len(values)} seeds"


def test_pairs_share_what_seeds_have_in_common(run):
    """Accuracy moves by 0.1 with the seed, the difference by 0.01."""
    runs = [
        run({"circular": {"accuracy": 0.5 + 0.1 * seed + gain + 0.01 * seed * (gain > 0)}},
            pool=pool, seed=seed)
        for pool, gain in (("max", 0), ("blur", 0.2))
        for seed in range(3)
    ]  # fmt: skip
    [block] = blocks(runs, lambda one: one.pool, free=("pool",), protocols=("circular",))
    found = estimate(block, lambda read: read("blur", "circular", "accuracy")
                     - read("max", "circular", "accuracy"))  # fmt: skip
    half = 4.302653 * 0.01 / 3**0.5  # of 0.20, 0.21, 0.22
    assert found.value == pytest.approx(0.21)
    assert found.high - found.value == pytest.approx(half, rel=1e-5)
    assert len(found.runs) == 6


def test_one_seed_has_the_interval_over_images(run):
    runs = [run({"circular": {"accuracy": Number(0.5, 0.46, 0.53)}}, pool="max"),
            run({"circular": {"accuracy": Number(0.7, 0.67, 0.74)}}, pool="blur")]  # fmt: skip
    [block] = blocks(runs, lambda one: one.pool, free=("pool",))
    found = estimate(block, lambda read: read("blur", "circular", "accuracy")
                     - read("max", "circular", "accuracy"))  # fmt: skip
    assert found.value == pytest.approx(0.2)
    assert found.low == pytest.approx(0.2 - math.hypot(0.03, 0.03))  # 0.67 - 0.53, in squares
    assert found.high == pytest.approx(0.2 + math.hypot(0.04, 0.04))
    assert found.over == "images, one seed"


def test_without_an_interval_over_images_there_is_none(run):
    nan = math.nan
    [block] = single([run({"circular": {"accuracy": Number(0.5, nan, nan)}})])
    found = estimate(block, lambda read: read("", "circular", "accuracy"))
    assert found.value == 0.5
    assert math.isnan(found.low) and found.over == ""


def test_the_mean_over_blocks_is_taken_seed_by_seed(seeds):
    runs = [*seeds({"circular": {"accuracy": 0.5}}, head="gap", step=0.02),
            *seeds({"circular": {"accuracy": 0.7}}, head="flatten", step=-0.01)]  # fmt: skip
    found = together(single(runs), lambda read: read("", "circular", "accuracy"))
    # 0.600, 0.605, 0.610
    assert found.value == pytest.approx(0.605)
    assert found.high - found.value == pytest.approx(4.302653 * 0.005 / 3**0.5, rel=1e-5)


def test_the_mean_over_blocks_of_one_seed_is_over_images(run):
    runs = [
        run({"circular": {"accuracy": 0.5}}),
        run({"circular": {"accuracy": 0.7}}, head="flatten"),
    ]
    found = together(single(runs), lambda read: read("", "circular", "accuracy"))
    assert (found.value, found.over) == (pytest.approx(0.6), "images, one seed")
    assert found.low == pytest.approx(0.6 - math.hypot(0.01, 0.01) / 2)


def test_a_function_moves_value_and_ends():
    found = Estimate(0.0, -1.0, 1.0).through(math.exp)
    assert (found.value, found.low, found.high) == (1.0, math.exp(-1), math.e)
