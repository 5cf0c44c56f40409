"""Shares of images: against scipy, and what they hold."""

import numpy as np
import pytest
from scipy import stats

from shiftbench.metric.proportion import unseen_share, wilson


@pytest.mark.parametrize("number", [1, 2, 30, 1000])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_an_unseen_share_is_the_exact_bound_of_none_among_so_many(number, confidence):
    found = stats.binomtest(0, number).proportion_ci(confidence, method="exact")
    assert unseen_share(number, confidence) == pytest.approx(found.high)


@pytest.mark.parametrize(("count", "number"), [(4, 30), (15, 30), (26, 30), (40, 1000)])
def test_a_share_away_from_the_ends_has_the_interval_of_wilson(count, number):
    found = stats.binomtest(count, number).proportion_ci(method="wilson")
    assert wilson(count, number) == pytest.approx((found.low, found.high))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_share_near_an_end_begins_where_the_poisson_distribution_says(count):
    # Half the chi-square quantile with twice as many degrees of freedom is the rate (Garwood 1936).
    rate = stats.chi2.ppf(0.05, 2 * count) / 2
    plain = stats.binomtest(count, 100).proportion_ci(method="wilson")
    assert wilson(count, 100) == pytest.approx((rate / 100, plain.high))
    assert rate / 100 < plain.low
    assert wilson(100 - count, 100) == pytest.approx((1 - plain.high, 1 - rate / 100))


@pytest.mark.parametrize("number", [30, 100, 1000])
def test_the_interval_holds_every_share_nearly_as_often_as_it_says(number):
    """The exact chance, summed over all counts, for shares from 1 / (100 N) to 1/2."""
    ends = [wilson(count, number) for count in range(1, number)]
    unseen = unseen_share(number)
    low, high = np.array([(0, unseen), *ends, (1 - unseen, 1)]).T
    shares = np.concatenate([np.geomspace(0.01, 20, 400) / number, np.linspace(0.01, 0.5, 400)])
    shares = shares[shares <= 0.5][:, None]
    chance = stats.binom.pmf(np.arange(number + 1), number, shares)
    held = (chance * ((low <= shares) & (shares <= high))).sum(axis=1)
    assert held.min() > 0.915  # that of Wilson alone falls to 0.84
    assert np.mean(held > 0.93) > 0.95
