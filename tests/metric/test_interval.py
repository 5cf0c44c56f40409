"""The kinds of intervals: against scipy, by hand, and at the edges."""

import math

import numpy as np
import pytest
from scipy import stats

from shiftbench.metric import evaluate
from shiftbench.metric.base import Terms
from shiftbench.metric.bootstrap import Bootstrap
from shiftbench.metric.example import example, table_of
from shiftbench.metric.interval import bca_levels, interval_of
from shiftbench.metric.proportion import unseen_share, wilson


def interval_of_term(term, **options):
    made = Bootstrap(**options)
    [sums] = made.sums([term])
    return interval_of(term, sums, made)


def row_of(table, name, **options):
    [row] = evaluate(table, names=[name], **options)
    return row


def expanded(confidence, number):
    """The confidence at which resamples of so many images are read."""
    z = stats.norm.ppf((1 + confidence) / 2) * math.sqrt(number / (number - 1))
    return 2 * stats.norm.cdf(z) - 1


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_interval_of_a_mean_is_that_of_scipy(method):
    data = np.random.default_rng(0).exponential(size=60)
    unbounded = Terms.mean(data, 1).within((0, math.inf))
    found = interval_of_term(unbounded, resamples=20_000, method=method)
    expected = stats.bootstrap(
        (data,), np.mean, n_resamples=20_000, method=method, rng=np.random.default_rng(1),
        confidence_level=expanded(0.95, 60),
    ).confidence_interval  # fmt: skip
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.02)
    assert found.kind == method


def test_bca_interval_of_a_ratio_is_that_of_scipy():
    rng = np.random.default_rng(2)
    below = rng.uniform(0.2, 2, 50)
    above = below * rng.beta(1, 4, 50)
    unbounded = Terms.ratio(above, below, 1).within((0, math.inf))
    found = interval_of_term(unbounded, resamples=10_000)
    expected = stats.bootstrap(
        (above, below), lambda a, b, axis=-1: a.sum(axis) / b.sum(axis), n_resamples=10_000,
        paired=True, method="BCa", rng=np.random.default_rng(1),
        confidence_level=expanded(0.95, 50),
    ).confidence_interval  # fmt: skip
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.01)


def test_bca_moves_the_interval_of_a_skewed_mean_and_percentile_does_not():
    term = Terms.mean(np.random.default_rng(0).exponential(size=40), 1).within((0, math.inf))
    plain = interval_of_term(term, method="percentile")
    corrected = interval_of_term(term)
    assert corrected.low > plain.low
    assert corrected.high > plain.high


def test_bca_levels_by_hand():
    replicates = np.array([0, 0, 0, 0, 0, 1, 1, 2, 2, 2.0])  # 6 of 10 below 1, ties counted half
    bias, z = stats.norm.ppf(0.6), stats.norm.ppf(0.05)
    acceleration = (3 - 27) / (6 * 12**1.5)
    levels = bca_levels((z, -z), 1.0, replicates, acceleration)
    for level, z_level in zip(levels, (bias + z, bias - z), strict=True):
        expected = stats.norm.cdf(bias + z_level / (1 - acceleration * z_level))
        assert level == pytest.approx(expected)


def test_replicates_that_differ_from_the_value_by_rounding_are_ties():
    exact = np.array([0, 0, 0.3, 0.3, 0.3, 1.0])
    rounded = exact + np.array([0, 0, 1e-16, -1e-16, 0, 0])
    assert bca_levels((-2, 2), 0.3, rounded, 0.1) == pytest.approx(
        bca_levels((-2, 2), 0.3, exact, 0.1), abs=0
    )


def test_bca_survives_a_value_outside_its_replicates_and_ends_beyond_the_pole():
    low, high = bca_levels((-1.96, 1.96), 9.0, np.arange(8.0), 0.0)
    assert 0 < low < high <= 1
    assert list(bca_levels((-18, 18), 3.5, np.arange(8.0), 1 / 6)) == pytest.approx(
        [0, 1], abs=1e-3
    )


def test_the_acceleration_is_that_of_leaving_images_out(monkeypatch):
    monkeypatch.setattr("shiftbench.metric.base.CHUNK", 4)
    term = Terms.mean(np.array([1.0, 2.0, 3.0, 6.0]), 1)
    assert term.leave_one_out == pytest.approx([11 / 3, 10 / 3, 3, 2])


@pytest.mark.parametrize("name", ["accuracy", "worst_accuracy"])
def test_metrics_of_0_or_1_per_image_have_the_interval_of_wilson(name):
    table = table_of(np.repeat([[0]] * 12 + [[1]] * 28, 3, axis=1), np.zeros(40))
    row = row_of(table, name)
    assert (row.value, row.interval) == (0.3, "wilson")
    expected = stats.binomtest(12, 40).proportion_ci(method="wilson")
    assert (row.ci_low, row.ci_high) == pytest.approx((expected.low, expected.high))


def test_images_of_which_nothing_is_known_do_not_count_for_wilson():
    term = Terms.mean(np.array([0, 1, 1, 1, 0, np.nan, np.nan]), 1)
    found = interval_of_term(term)
    assert found == pytest.approx((*wilson(3, 5), "wilson"))


def test_images_in_between_make_it_bca():
    assert row_of(example(), "consistency").interval == "bca"
    assert row_of(example(), "accuracy").interval == "wilson"


def test_weights_that_differ_make_it_bca():
    """A mean of means of batches: 0 or 1 per image, but not every image counts as much."""
    term = Terms.ratio([1.0, 0, 0, 0.5], [1.0, 1, 1, 0.5], 1)
    assert interval_of_term(term).kind == "bca"


@pytest.mark.parametrize("method", ["percentile", "bca"])
@pytest.mark.parametrize("number", [2, 5, 30])
def test_where_all_images_agree_the_interval_is_what_their_number_justifies(method, number):
    rows = evaluate(table_of(np.zeros((number, 4)), np.zeros(number), num_classes=9), method=method)
    unseen = 1 - 0.025 ** (1 / number)
    for row in rows:
        assert row.interval == "exact"
        assert row.value in (0, 1)
        if row.metric == "chance_consistency":  # both images of a pair are of those seen
            assert (row.ci_low, row.ci_high) == pytest.approx(((1 - unseen) ** 2, 1))
            continue
        expected = (0, unseen) if row.value == 0 else (1 - unseen, 1)
        assert (row.ci_low, row.ci_high) == pytest.approx(expected), row.metric


def test_agreement_in_between_can_be_wrong_in_both_directions():
    row = row_of(table_of([[0, 1]] * 30, [0] * 30), "shift_accuracy")
    unseen = unseen_share(30)
    assert (row.value, row.interval) == (0.5, "exact")
    assert (row.ci_low, row.ci_high) == pytest.approx((0.5 - unseen / 2, 0.5 + unseen / 2))


def test_an_unseen_image_of_a_ratio_is_the_heaviest_that_there_can_be():
    """Each image is right under one of four shifts: 0 of 6 pairs; others may be 12 of 12."""
    row = row_of(table_of([[0, 1, 1, 1]] * 20, [0] * 20), "correct_consistency")
    unseen = unseen_share(20)
    assert (row.value, row.ci_low, row.interval) == (0, 0, "exact")
    assert row.ci_high == pytest.approx(12 * unseen / (6 * (1 - unseen) + 12 * unseen))


def test_rounding_is_no_difference_between_images():
    change = np.random.default_rng(0).random((30, 3)) * 2e-7  # a few steps of float32
    table = table_of(np.zeros((30, 3)), [0] * 30, p_base=0.5 + change)
    row = row_of(table, "wobble")
    assert 0 < row.value < 2e-7
    assert row.interval == "exact"
    assert row.ci_high == pytest.approx(unseen_share(30), abs=1e-6)


@pytest.mark.parametrize("value", [0.97, 0.999])
@pytest.mark.parametrize("number", [30, 100])
def test_one_image_that_differs_a_little_is_no_reason_for_certainty(value, number):
    """Resampling would say that the mean is 1 - (1 - value) * 4 / N at least."""
    term = Terms.mean(np.array([value] + [1.0] * (number - 1)), 1)
    found = interval_of_term(term)
    assert found.kind == "bca"
    # A share of 2 / N of images at 0 is missing in one sample of eight.
    assert found.low < 1 - 2 / number
    assert term.value < found.high <= 1


def test_a_bound_that_most_images_are_at_has_no_unseen_image():
    """Above 19 of 20 images there is nothing; below the other one there is."""
    term = Terms.mean(np.array([0.5] + [1.0] * 19), 1)
    unbounded = interval_of_term(term.within((0, math.inf)))
    found = interval_of_term(term)
    assert found.high == unbounded.high
    assert found.low < unbounded.low - 0.05


def test_where_many_images_decide_only_resamples_do():
    values = np.random.default_rng(0).random(400)
    bounded = interval_of_term(Terms.mean(values, 1))
    unbounded = interval_of_term(Terms.mean(values, 1).within((0, math.inf)))
    assert (bounded.low, bounded.high) == pytest.approx((unbounded.low, unbounded.high), abs=1e-3)


def test_one_image_has_values_but_no_interval():
    for method in ("percentile", "bca"):
        rows = evaluate(table_of([[0, 0, 1]], [0]), method=method)
        assert len(rows) == 13
        assert not any(math.isnan(row.value) for row in rows)
        assert all(math.isnan(row.ci_low) and math.isnan(row.ci_high) for row in rows)
        assert {row.interval for row in rows} == {""}


def test_one_image_that_enters_has_no_interval_either():
    row = row_of(table_of([[0, 1], [1, 1]], [0, 0]), "correct_consistency")
    assert row.n_images == 1
    assert math.isnan(row.ci_low)


def test_no_resamples_means_no_intervals():
    rows = evaluate(example(), resamples=0)
    assert all(math.isnan(row.ci_low) and row.interval == "" for row in rows)


@pytest.mark.parametrize("name", ["accuracy", "consistency", "chance_consistency"])
def test_a_wider_confidence_gives_a_wider_interval(name):
    rng = np.random.default_rng(1)
    right = rng.random((60, 9)) < rng.beta(0.8, 0.4, (60, 1))
    table = table_of(np.where(right, 0, 1 + rng.integers(0, 4, (60, 9))), np.zeros(60))
    narrow, wide = (row_of(table, name, confidence=level) for level in (0.5, 0.99))
    assert wide.ci_low < narrow.ci_low < narrow.value < narrow.ci_high < wide.ci_high


def test_intervals_hold_the_value_and_stay_within_bounds():
    rng = np.random.default_rng(3)
    for number in (2, 3, 5, 9):
        for _ in range(40):
            labels = rng.integers(0, 8, number)
            table = table_of(rng.integers(0, 8, (number, 4)), labels, num_classes=8)
            for row in evaluate(table, resamples=40):
                if not math.isnan(row.ci_low):
                    assert 0 <= row.ci_low <= row.value + 1e-9, row
                    assert row.value - 1e-9 <= row.ci_high <= 1, row
