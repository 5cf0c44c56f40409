"""Intervals over images hold the true value about as often as they say, where it is near 1 too.

The simulation of benchmarks/intervals.py, in small. Of 200 intervals that hold in 95 % of cases,
180 or fewer do in one simulation of 800.
"""

import numpy as np
import pytest
from simulated import (
    NAMES,
    PAIRS,
    POPULATIONS,
    SHARES,
    of_chances,
    of_pairs,
    of_shares,
    tally,
    tally_pairs,
    truths,
)

TRIALS, LEAST = 200, 181


def too_rarely(found):
    return {name: one for name, one in found.items() if one.held < LEAST}


@pytest.mark.slow
@pytest.mark.parametrize("number", [30, 100])
@pytest.mark.parametrize("name", POPULATIONS)
def test_intervals_hold_the_truth(name, number):
    draw = of_chances(POPULATIONS[name])
    found = tally(draw, truths(draw, NAMES, 100_000), number, TRIALS, resamples=400)
    assert not too_rarely(found)
    # They would always hold it if they were as wide as they can be.
    usual = [one for one in found.values() if 0.25 < one.truth < 0.75]
    assert all(one.held < TRIALS for one in usual if number == 100)


@pytest.mark.parametrize("number", [30, 300])
@pytest.mark.parametrize("name", SHARES)
def test_intervals_of_chance_consistency_hold_the_truth(name, number):
    truth = {"chance_consistency": float(np.sum(SHARES[name] ** 2))}
    found = tally(of_shares(SHARES[name]), truth, number, TRIALS, resamples=2)
    assert not too_rarely(found)


@pytest.mark.slow
@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize("number", [30, 200])
def test_intervals_of_a_difference_hold_the_truth(kind, number):
    """Where few images differ, too, and all of those that do in one direction."""
    names = ("accuracy", "consistency", "correct_consistency")
    found = tally_pairs(of_pairs(kind), names, number, TRIALS, resamples=400)
    assert not too_rarely(found)
