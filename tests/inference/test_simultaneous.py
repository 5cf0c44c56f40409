"""Intervals of several networks at once."""

import numpy as np
import pytest

from shiftbench.inference.crossed import deviation
from shiftbench.inference.sample import Sample
from shiftbench.inference.simultaneous import simultaneous_confidence


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


def confidence_of(samples, seed=0):
    return simultaneous_confidence([deviation(one) for one in samples], seed=seed)


def test_one_network_has_its_own_interval():
    assert confidence_of(networks(np.random.default_rng(0), 1)) == 0.95


def test_independent_networks_have_the_level_of_sidak():
    found = confidence_of(networks(np.random.default_rng(1), 8))
    assert 1 - found == pytest.approx(1 - 0.95 ** (1 / 8), rel=0.12)


def test_networks_with_common_errors_need_a_lower_level():
    apart = confidence_of(networks(np.random.default_rng(2), 8))
    alike = confidence_of(networks(np.random.default_rng(2), 8, shared=5.0))
    assert 0.95 <= alike < apart - 0.005


def test_the_same_network_many_times_is_one():
    [one] = networks(np.random.default_rng(3), 1, seeds=50, images=4000)
    still = Sample(np.full(50, one.values.mean()), one.images, one.seeds)
    assert confidence_of([still] * 10) == pytest.approx(0.95, abs=0.02)


def test_networks_without_an_error_are_ignored():
    [one] = networks(np.random.default_rng(4), 1)
    exact = Sample(np.ones(3), {"test": np.zeros((3, 60))}, (0, 1, 2))
    assert confidence_of([one, exact]) == 0.95


def test_simultaneous_coverage_is_about_95_percent():
    rng = np.random.default_rng(5)
    held = 0
    for trial in range(150):
        found = networks(rng, 5, shared=0.3)
        each = confidence_of(found, seed=trial)
        held += all(abs(one.mean) <= deviation(one).half(each) for one in found)
    assert 0.90 <= held / 150 <= 1.0
