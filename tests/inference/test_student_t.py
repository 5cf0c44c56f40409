"""Student's t for any number of degrees of freedom, against scipy."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from shiftbench.errors import UsageError
from shiftbench.inference.student_t import t_between, t_quantile

degrees = st.floats(0.5, 1e5)


@given(st.floats(1e-3, 100), degrees)
def test_the_probability_is_that_of_scipy(t, nu):
    assert t_between(t, nu) == pytest.approx(1 - 2 * stats.t.sf(t, nu), abs=1e-8)


@given(st.floats(0.01, 0.9999), degrees)
def test_the_quantile_is_that_of_scipy(confidence, nu):
    expected = stats.t.ppf((1 + confidence) / 2, nu)
    assert t_quantile(confidence, nu) == pytest.approx(expected, rel=1e-6)


def test_infinitely_many_degrees_are_the_normal_distribution():
    assert t_quantile(0.95, math.inf) == pytest.approx(1.959963984540054)


@pytest.mark.parametrize(("confidence", "nu"), [(0.0, 2), (1.0, 2), (0.95, 0), (0.95, math.nan)])
def test_what_has_no_quantile_is_refused(confidence, nu):
    with pytest.raises(UsageError, match="between 0 and 1"):
        t_quantile(confidence, nu)
