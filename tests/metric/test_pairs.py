"""Means over pairs of images: against brute force, and by hand."""

import itertools

import numpy as np
import pytest
from scipy import stats

from shiftbench.metric import METRICS, chance, evaluate
from shiftbench.metric.example import table_of
from shiftbench.metric.proportion import unseen_share, wilson


def spread_of(top1):
    answers = np.asarray(top1)
    return METRICS["chance_consistency"](table_of(answers, answers[:, 0])).pairs


def row_of(top1, **options):
    answers = np.asarray(top1)
    table = table_of(answers, answers[:, 0])
    return evaluate(table, names=["chance_consistency"], **options)[0]


def one_answer(labels):
    return np.repeat(np.asarray(labels)[:, None], 2, axis=1)


def agreement(top1):
    """a(n, m): the share of pairs of views of images n and m that agree."""
    return np.array([[np.mean(a[:, None] == b) for b in top1] for a in top1])


def test_variances_are_those_of_brute_force_over_pairs_triples_and_quadruples():
    top1 = np.random.default_rng(0).integers(0, 3, (7, 4))
    a, spread = agreement(top1), spread_of(top1)
    pairs = np.array([a[n, m] for n, m in itertools.permutations(range(7), 2)])
    triples = [a[n, m] * a[n, k] for n, m, k in itertools.permutations(range(7), 3)]
    fours = [a[n, m] * a[k, j] for n, m, k, j in itertools.permutations(range(7), 4)]
    assert spread.value == pytest.approx(pairs.mean())
    assert spread.of_pairs == pytest.approx(pairs.var())
    assert spread.of_images == pytest.approx(np.mean(triples) - np.mean(fours))


def test_rare_classes_never_make_the_variance_of_pairs_smaller(monkeypatch):
    top1 = np.random.default_rng(0).integers(0, 9, (12, 4))
    whole = spread_of(top1)
    monkeypatch.setattr(chance, "MOST_CLASSES", 3)
    part = spread_of(top1)
    assert part.value == whole.value
    assert part.of_pairs > whole.of_pairs


def test_the_size_of_blocks_changes_nothing(monkeypatch):
    top1 = np.random.default_rng(0).integers(0, 9, (50, 4))
    whole = spread_of(top1)
    monkeypatch.setattr(chance, "CHUNK", 60)
    assert spread_of(top1) == whole


@pytest.mark.parametrize("share", [0.5, 0.6, 0.8, 0.95])
def test_the_variance_of_two_classes_is_that_of_the_binomial_distribution(share):
    """The spread that a sample finds is, at the true value, that of samples."""
    rng, number = np.random.default_rng(1), 400
    truth = share**2 + (1 - share) ** 2
    found = [spread_of(one_answer(rng.random(number) < share)) for _ in range(300)]
    values = [one.value for one in found]
    expected = np.mean([one.variance(truth) for one in found])
    assert np.var(values) == pytest.approx(expected, rel=0.25)


def test_where_no_image_moves_the_value_pairs_do():
    """As many images of either class: N (value - 1/2) is distributed as (z² - 1) / 2."""
    number = 100
    row = row_of(one_answer(np.repeat([0, 1], number // 2)))
    assert row.value == pytest.approx((2 * 50 * 49) / (100 * 99))
    assert row.interval == "score"
    assert row.ci_high - row.value > (stats.chi2.ppf(0.95, 1) - 1) / 2 / number
    assert row.ci_low < 0.5 < row.ci_high


def test_many_classes_are_a_share_of_pairs():
    """No class is more frequent than another: pairs are as good as independent."""
    number = 1000
    row = row_of(one_answer(np.random.default_rng(2).integers(0, 500, number)))
    pairs = number * (number - 1) // 2
    expected = wilson(round(row.value * pairs), pairs)
    assert (row.ci_low, row.ci_high) == pytest.approx(expected, rel=0.03)


def test_two_classes_of_which_one_is_rare_are_a_share_of_images():
    row = row_of(one_answer(np.repeat([0, 1], [940, 60])))
    low, high = wilson(60, 1000)
    expected = (1 - 2 * high * (1 - high), 1 - 2 * low * (1 - low))
    assert (row.ci_low, row.ci_high) == pytest.approx(expected, abs=1e-3)


def test_few_images_unlike_the_others_are_as_few_as_poisson_says():
    row = row_of(one_answer(np.repeat([0, 1], [99, 1])))
    least = stats.chi2.ppf(0.05, 2) / 2 / 100
    assert row.ci_high == pytest.approx((1 - least) ** 2 + least**2)
    assert row.ci_low < 1 - 2 * 0.03


def test_where_all_pairs_are_alike_the_interval_is_exact():
    unseen = unseen_share(20)
    always = row_of(one_answer(np.zeros(20, int)))
    assert (always.value, always.ci_high, always.interval) == (1, 1, "exact")
    assert always.ci_low == pytest.approx((1 - unseen) ** 2)
    never = row_of(one_answer(np.arange(20)))
    assert (never.value, never.ci_low, never.interval) == (0, 0, "exact")
    # One class that only one image was seen of: 1 or fewer of 20 with chance 0.025
    once = stats.binomtest(1, 20).proportion_ci(0.95, method="exact").high
    assert never.ci_high == pytest.approx(once**2)
    alike = row_of([[0, 1]] * 20)
    assert (alike.value, alike.interval) == (0.5, "exact")
    assert alike.ci_low == pytest.approx((1 - unseen) ** 2 / 2)
    expected = (1 - unseen) ** 2 / 2 + unseen * (1 - unseen) + unseen**2
    assert alike.ci_high == pytest.approx(expected)


def test_few_images_have_intervals_within_bounds():
    rng = np.random.default_rng(3)
    for number in (2, 3, 4, 5):
        for _ in range(50):
            row = row_of(rng.integers(0, 3, (number, 3)))
            assert 0 <= row.ci_low <= row.value <= row.ci_high <= 1
            assert row.ci_low < row.ci_high


def test_no_resamples_no_interval():
    assert row_of(one_answer([0, 1, 1]), resamples=0).interval == ""
