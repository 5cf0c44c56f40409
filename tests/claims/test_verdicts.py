"""From an interval to a verdict."""

import math

import numpy as np
import pytest
from scipy import stats

from shiftbench.claims.estimates import Estimate
from shiftbench.claims.verdicts import decide, decide_every, decide_exact, verdict_of
from shiftbench.inference.crossed import Deviation
from shiftbench.inference.sample import Sample


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.01, 0.2, "reproduced"), (-0.2, -0.01, "not reproduced"), (-0.2, 0.0, "not reproduced"),
     (-0.1, 0.1, "inconclusive"), (0.0, 0.1, "inconclusive"), (math.nan, math.nan, "inconclusive")],
)  # fmt: skip
def test_a_direction(low, high, verdict):
    assert verdict_of(Estimate(0.05, low, high)) == verdict


def test_no_number_is_no_finding():
    assert decide(Estimate(math.nan)) is None
    assert decide_every([Estimate(math.nan)]) is None
    assert decide_exact([], 1.0, 0.1) is None


def number(value, half, name=""):
    """An estimate with a normal interval, as of one seed."""
    error = Deviation((half / 1.959964) ** 2)
    sample = Sample(np.array([value]), {}, (0,))
    return Estimate(value, value - half, value + half, "images, one seed", name, (name,), error,
                    sample, (half, half))  # fmt: skip


def test_every_network_is_reproduced_if_each_of_them_is():
    found = decide_every([number(0.5, 0.1, "a"), number(0.6, 0.5, "b")])
    assert found.verdict == "reproduced"
    assert (found.measured, found.measured_of) == (pytest.approx(0.55), "mean over 2 networks")
    assert "2 of 2 above 0" in found.reason
    assert "the least certain: b with 0.600" in found.reason
    assert found.least_certain == found.networks[1] and found.least_certain.name == "b"
    assert found.threshold == 0 and not found.ratio
    assert decide_every([number(0.5, 0.1), number(0.3, 0.4)]).verdict == "inconclusive"


def test_one_network_below_needs_a_simultaneous_interval():
    against = number(-0.01, 0.009, "c")
    assert decide_every([against]).verdict == "not reproduced"
    others = [number(0.5, 0.1, str(name)) for name in range(8)]
    assert decide_every([*others, against]).verdict == "inconclusive"
    assert decide_every([*others, number(-0.02, 0.009)]).verdict == "not reproduced"


def test_networks_are_shown_with_simultaneous_intervals():
    found = decide_every([number(0.1 * name, 0.1, str(name)) for name in range(5)])
    assert [one.name for one in found.networks] == ["0", "1", "2", "3", "4"]
    for one in found.networks:
        assert 0.1 * 1.2 < one.high - one.value < 0.1 * 1.35  # Sidak: 2.57 / 1.96


def test_the_mean_over_networks_has_power_where_single_ones_are_uncertain():
    found = decide_every([number(0.2 + 0.01 * name, 0.3, str(name)) for name in range(9)])
    assert found.verdict == "inconclusive"
    assert found.measured == pytest.approx(0.24)


def test_the_interval_of_the_mean_covers_other_networks():
    found = decide_every([number(value, 1e-4, str(value)) for value in (0.1, 0.2, 0.6)])
    low, high = stats.t.interval(0.95, 2, 0.3, stats.sem([0.1, 0.2, 0.6]))
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-3)
    assert (found.verdict, found.mean_verdict) == ("reproduced", "inconclusive")


def test_logarithms_are_shown_as_factors():
    found = decide_every([number(math.log(2), 0.1), number(math.log(8), 0.1)], math.log(1.5),
                         shown=math.exp)  # fmt: skip
    assert found.verdict == "reproduced"
    assert found.measured == pytest.approx(4)
    assert found.networks[0].value == pytest.approx(2)
    assert "2 of 2 above 1.5" in found.reason
    assert found.ratio and found.threshold == pytest.approx(1.5)
    assert found.least_certain == found.networks[0]


def test_exact_on_all_images_has_the_bound_that_their_number_allows():
    found = decide_exact([Estimate(1.0)], 1.0, 0.001, n_images=1000)
    assert "exact on all 1,000 images, so at most 0.00368 of others are not" in found.reason
    assert "exact on all" not in decide_exact([Estimate(0.9999)], 1.0, 0.001, n_images=9).reason


def test_equality_is_decided_by_the_farthest():
    found = decide_exact([Estimate(1.0), Estimate(0.995, name="a")], 1.0, 0.01)
    assert (found.verdict, found.measured) == ("reproduced", 0.995)
    found = decide_exact([Estimate(1.0), Estimate(0.97, name="a")], 1.0, 0.01)
    assert found.verdict == "not reproduced"
    assert "1 of 2 runs within 0.01 of 1" in found.reason and "the farthest: a" in found.reason
