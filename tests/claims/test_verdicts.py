"""From an interval to a verdict."""

import math

import pytest

from shiftbench.claims.estimates import Estimate
from shiftbench.claims.verdicts import decide, decide_every, decide_exact, verdict_of


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


def test_every_network_is_decided_by_the_weakest():
    strong, weak = Estimate(0.5, 0.4, 0.6, name="a"), Estimate(0.6, 0.1, 1.1, name="b")
    found = decide_every([strong, weak])
    assert (found.verdict, found.measured, found.low) == ("reproduced", 0.6, 0.1)
    assert "2 of 2 above 0" in found.reason and "the weakest: b" in found.reason
    unsure = Estimate(0.3, -0.1, 0.7)
    assert decide_every([strong, unsure]).verdict == "inconclusive"
    against = Estimate(-0.01, -0.02, -0.001)
    found = decide_every([strong, unsure, against])
    assert (found.verdict, found.measured) == ("not reproduced", -0.01)


def test_equality_is_decided_by_the_farthest():
    found = decide_exact([Estimate(1.0), Estimate(0.995, name="a")], 1.0, 0.01)
    assert (found.verdict, found.measured) == ("reproduced", 0.995)
    found = decide_exact([Estimate(1.0), Estimate(0.97, name="a")], 1.0, 0.01)
    assert found.verdict == "not reproduced"
    assert "1 of 2 runs within 0.01 of 1" in found.reason and "the farthest: a" in found.reason
