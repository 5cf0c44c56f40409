"""Intervals of several networks at once."""

import numpy as np
import pytest

from shiftbench.inference.crossed import crossed_interval
from shiftbench.inference.sample import Sample
from shiftbench.inference.simultaneous import simultaneous


def networks(rng, count, seeds=3, images=60, shared=0.0):
    """Samples of networks without effect; ``shared``: image effects that all have in common."""
    common = shared * rng.normal(size=images)
    found = []
    for _ in range(count):
        rows = (
            0.1 * rng.normal(size=(seeds, 1)) + common + rng.normal(size=images) * 0.3
            + rng.normal(size=(seeds, images)) * 0.3
        )  # fmt: skip
        means = rows.mean(axis=1)
        found.append(Sample(means, {"test": rows - means[:, None]}, tuple(range(seeds))))
    return found


def test_one_network_has_its_own_interval():
    [one] = networks(np.random.default_rng(0), 1)
    found = simultaneous([one])
    assert found.confidence == 0.95
    assert (found.low[0], found.high[0]) == pytest.approx(crossed_interval(one))


def test_independent_networks_have_the_level_of_sidak():
    found = simultaneous(networks(np.random.default_rng(1), 8))
    assert 1 - found.confidence == pytest.approx(1 - 0.95 ** (1 / 8), rel=0.12)


def test_networks_that_err_together_need_less():
    apart = simultaneous(networks(np.random.default_rng(2), 8))
    alike = simultaneous(networks(np.random.default_rng(2), 8, shared=5.0))
    assert 0.95 <= alike.confidence < apart.confidence - 0.005


def test_the_same_network_many_times_is_one():
    [one] = networks(np.random.default_rng(3), 1, seeds=50, images=4000)
    still = Sample(np.full(50, one.values.mean()), one.images, one.seeds)
    found = simultaneous([still] * 10)
    assert found.confidence == pytest.approx(0.95, abs=0.02)


def test_networks_without_a_deviation_have_no_interval_and_cost_nothing():
    [one] = networks(np.random.default_rng(4), 1)
    exact = Sample(np.ones(3), {"test": np.zeros((3, 60))}, (0, 1, 2))
    found = simultaneous([one, exact])
    assert found.confidence == 0.95
    assert np.isnan(found.low[1])
    assert found.low[0] == pytest.approx(crossed_interval(one)[0])


def test_all_truths_are_held_at_once_about_95_times_in_100():
    rng = np.random.default_rng(5)
    held = 0
    for trial in range(150):
        found = simultaneous(networks(rng, 5, shared=0.3), seed=trial)
        held += bool(np.all((found.low <= 0) & (found.high >= 0)))
    assert 0.90 <= held / 150 <= 1.0
