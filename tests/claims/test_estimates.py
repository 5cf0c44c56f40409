"""The deciding number and its interval, by hand and against scipy."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from shiftbench.claims import Number
from shiftbench.claims.blocks import blocks, single
from shiftbench.claims.estimates import Estimate, estimate, over_seeds, together
from shiftbench.claims.evidence import Influence
from shiftbench.inference.crossed import crossed_interval
from shiftbench.inference.sample import Sample

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


def half_of(seeds, images):
    """Of three seeds with this standard error, and images with this half of an interval."""
    variances = seeds**2, (images / 1.959964) ** 2
    quantile = np.average([4.302653, 1.959964], weights=variances)
    return quantile * math.sqrt(sum(variances))


def test_paired_differences_cancel_common_seed_effects(run):
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
    # 0.20, 0.21, 0.22; and over images, two intervals of 0.001, not paired
    half = half_of(0.01 / 3**0.5, math.hypot(0.001, 0.001))
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
    assert found.over == "images, one seed, not paired"


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
    half = half_of(0.005 / 3**0.5, 0.001)  # networks share their images
    assert found.high - found.value == pytest.approx(half, rel=1e-5)


def test_the_mean_over_blocks_of_one_seed_is_over_images(run):
    runs = [
        run({"circular": {"accuracy": 0.5}}),
        run({"circular": {"accuracy": 0.7}}, head="flatten"),
    ]
    found = together(single(runs), lambda read: read("", "circular", "accuracy"))
    assert (found.value, found.over) == (pytest.approx(0.6), "images, one seed, not paired")
    assert found.low == pytest.approx(0.6 - 0.001)


def test_a_function_is_applied_to_value_and_ends():
    found = Estimate(0.0, -1.0, 1.0).through(math.exp)
    assert (found.value, found.low, found.high) == (1.0, math.exp(-1), math.e)


def difference(read):
    return read("blur", "circular", "consistency") - read("max", "circular", "consistency")


@pytest.fixture
def paired(run):
    """Return a maker of blocks of two arms: consistency of ``(S, N)`` images for either."""

    def make(numbers):
        runs = []
        for pool, rows in numbers.items():
            for seed, row in enumerate(np.asarray(rows, float)):
                found = Influence("test", row - row.mean())
                number = Number(row.mean(), row.mean() - 0.1, row.mean() + 0.1, 9, len(row))
                made = run({"circular": {"consistency": number}}, pool=pool, seed=seed)
                runs.append(replace(made, influence=lambda protocol, metric, own=found: own))
        [block] = blocks(runs, lambda one: one.pool, free=("pool",))
        return block

    return make


def test_seeds_and_images_are_crossed_and_pairs_share_their_images(paired):
    rng = np.random.default_rng(0)
    hard = rng.random(50)  # drops out of the difference
    rows = {pool: hard + rng.normal(0, 0.01, (3, 50)) for pool in ("max", "blur")}
    found = estimate(paired(rows), difference)
    apart = rows["blur"] - rows["max"]
    expected = crossed_interval(
        Sample(apart.mean(1), {"test": apart - apart.mean(1, keepdims=True)}, (0, 1, 2))
    )
    assert found.over == "3 seeds × images"
    assert (found.low, found.high) == pytest.approx(expected)
    assert found.high - found.low < 0.02


def test_one_seed_resamples_the_same_images_for_both(paired):
    rng = np.random.default_rng(1)
    hard, gain = rng.random(200), rng.normal(0.1, 0.05, 200)
    found = estimate(paired({"max": [hard], "blur": [hard + gain]}), difference)
    expected = stats.bootstrap((gain,), np.mean, n_resamples=5000, rng=np.random.default_rng(2))
    assert found.over == "images, one seed"
    assert (found.low, found.high) == pytest.approx(expected.confidence_interval, abs=0.002)


def log_ratio(read):
    blur, plain = (read(pool, "circular", "consistency") for pool in ("blur", "max"))
    return math.log(blur / plain)


def test_a_ratio_is_resampled_as_a_ratio(paired):
    rng = np.random.default_rng(3)
    first = rng.random(200)
    block = paired({"max": [first], "blur": [first * rng.normal(2, 0.2, 200)]})
    found = estimate(block, log_ratio)
    assert found.value == pytest.approx(math.log(2), abs=0.03)
    assert 0.01 < found.high - found.low < 0.06


def test_a_run_without_images_makes_all_of_a_difference_unpaired(paired):
    rng = np.random.default_rng(4)
    block = paired({"max": rng.random((2, 30)), "blur": rng.random((2, 30))})
    block.seeds[1]["max"] = replace(block.seeds[1]["max"], influence=lambda *_: None)
    assert estimate(block, difference).over == "2 seeds + images, not paired"


def test_the_mean_over_networks_shares_images(paired):
    rng = np.random.default_rng(5)
    hard = rng.normal(0, 0.2, 60)
    found = [
        paired({"max": rng.random((3, 60)) * 0.01, "blur": hard + rng.random((3, 60)) * 0.01})
        for _ in range(4)
    ]
    one, mean = estimate(found[0], difference), together(found, difference)
    # The images' deviation is the same in all networks: it does not average out.
    assert mean.high - mean.low == pytest.approx(one.high - one.low, rel=0.05)


def test_the_ends_of_another_confidence(paired):
    rng = np.random.default_rng(6)
    found = estimate(paired({"max": rng.random((3, 30)), "blur": rng.random((3, 30))}), difference)
    low, high = found.at(0.99)
    assert low < found.low < found.value < found.high < high
    assert found.at(0.95) == pytest.approx((found.low, found.high))


def test_one_seed_whose_images_agree_has_the_exact_bound_at_every_confidence(run):
    """Nothing varies over its 24 images: the interval of metrics.csv is all that is known."""
    made = run({"circular": {"consistency": Number(1.0, 0.86, 1.0, 9, 24)}})
    agreeing = Influence("test", np.zeros(24))
    [block] = single([replace(made, influence=lambda *_: agreeing)], ["circular"])
    found = estimate(block, lambda read: read("", "circular", "consistency"))
    assert (found.low, found.high) == (0.86, 1.0)
    assert found.at(0.95) == pytest.approx((0.86, 1.0))
    wider = stats.t.ppf(0.995, 23) / stats.t.ppf(0.975, 23)
    assert found.at(0.99) == pytest.approx((1 - 0.14 * wider, 1.0))
