"""Paired differences."""

import dataclasses

import numpy as np
import pytest
from scipy import stats

from shiftbench.errors import ShiftbenchError
from shiftbench.metric import Terms, compare, evaluate
from shiftbench.metric.bootstrap import Bootstrap
from shiftbench.metric.example import example, table_of
from shiftbench.metric.interval import interval_of


def pair_of_tables(images=200, shifts=10):
    """Two networks that find the same images hard, b a little better."""
    rng = np.random.default_rng(4)
    share = rng.beta(0.5, 0.5, (images, 1))
    luck = rng.random((images, shifts))
    wrong = rng.integers(1, 4, (images, shifts))
    labels = np.zeros(images)
    return [table_of(np.where(luck < s, 0, wrong), labels) for s in (share, share + 0.03)]


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_a_table_differs_from_itself_by_no_more_than_images_that_may_be_missing(method):
    table = pair_of_tables()[0]
    rows = compare(table, table, method=method)
    assert len(rows) == 14
    assert {(row.difference, row.interval) for row in rows} == {(0, "exact")}
    for row in rows:
        entered = evaluate(table, names=[row.metric], resamples=0)[0].n_images
        unseen = 1 - 0.025 ** (1 / entered)
        # Of correct_consistency, an unseen image may weigh more than those that are there.
        assert row.ci_high == pytest.approx(unseen, rel=0.5), row.metric
        assert row.ci_low == -row.ci_high


def test_difference_is_b_minus_a():
    a, b = pair_of_tables()
    values = [{row.metric: row.value for row in evaluate(t, resamples=0)} for t in (a, b)]
    for row in compare(a, b, resamples=10):
        assert row.value_a == values[0][row.metric]
        assert row.value_b == values[1][row.metric]
        assert row.difference == row.value_b - row.value_a


def test_exchanging_the_tables_mirrors_the_interval():
    a, b = pair_of_tables()
    for there, back in zip(compare(a, b), compare(b, a), strict=True):
        assert (there.ci_low, there.ci_high) == pytest.approx((-back.ci_high, -back.ci_low))


def test_pairing_is_sharper_than_two_intervals():
    a, b = pair_of_tables()
    [row] = compare(a, b, names=["shift_accuracy"])
    [alone] = evaluate(a, names=["shift_accuracy"])
    assert 0 < row.ci_low < row.difference < row.ci_high
    assert row.ci_high - row.ci_low < (alone.ci_high - alone.ci_low) / 3


def test_the_interval_of_many_images_is_that_of_per_image_differences():
    a, b = pair_of_tables(images=2000)
    [row] = compare(a, b, names=["shift_accuracy"], resamples=4000)
    each = (b.top1 == 0).mean(axis=1) - (a.top1 == 0).mean(axis=1)
    error = each.std() / np.sqrt(len(each))
    assert row.ci_high - row.ci_low == pytest.approx(2 * 1.96 * error, rel=0.1)


def test_bca_of_a_difference_is_that_of_per_image_differences():
    a, b = pair_of_tables(images=40)
    [row] = compare(a, b, names=["shift_accuracy"], method="bca")
    each = Terms.mean((b.top1 == 0).mean(axis=1) - (a.top1 == 0).mean(axis=1), 1)
    each = each.within((-1.0, 1.0))
    made = Bootstrap(method="bca")
    expected = interval_of(each, made.sums([each])[0], made)
    assert (row.ci_low, row.ci_high, row.interval) == pytest.approx(expected)


def test_one_image_that_differs_proves_no_direction():
    """Of 30 images one is better: among others some may be worse."""
    a, b = np.zeros((30, 3), int), np.zeros((30, 3), int)
    a[0] = 1
    [row] = compare(
        *(table_of(answers, np.zeros(30), num_classes=2) for answers in (a, b)),
        names=["shift_accuracy"],
    )
    assert row.difference == pytest.approx(1 / 30)
    assert row.ci_low < -1 / 30
    assert row.ci_high > 3 / 30


def test_chance_consistency_of_balanced_answers_is_not_certain_to_be_the_same():
    """No single image moves either value, yet pairs do."""
    labels = np.repeat([0, 1], 50)
    a = np.repeat(labels[:, None], 2, axis=1)
    b = np.random.default_rng(0).permutation(a)
    [row] = compare(
        *(table_of(answers, labels) for answers in (a, b)), names=["chance_consistency"]
    )
    assert row.difference == 0
    # N (value - 1/2) of each is distributed as (z² - 1) / 2
    furthest = (stats.chi2.ppf(0.975, 1) - 1) / 200
    assert row.ci_low < -furthest < furthest < row.ci_high


def test_one_image_has_no_interval():
    [row] = compare(table_of([[0, 1]], [0]), table_of([[0, 0]], [0]), names=["consistency"])
    assert row.difference == 1
    assert np.isnan(row.ci_low)
    assert np.isnan(row.ci_high)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"labels": np.array([0, 1, 2, 0], np.int32)}, "images"),
        ({"shifts": np.zeros((4, 2), np.float32)}, "shifts"),
        ({"axes": ("dx", "dy")}, "shifts"),
        ({"sampled": np.array([False, True, True, True])}, "sampled shifts"),
        ({"previous": np.array([-1, 0, 0, 0], np.int32)}, "path"),
        ({"meta": {"num_classes": 3, "protocol": {"fill": "black"}}}, "protocol"),
    ],
)
def test_tables_of_different_things_are_refused(change, what):
    with pytest.raises(ShiftbenchError, match=f"not measured on the same {what}"):
        compare(example(), dataclasses.replace(example(), **change))


def test_networks_with_different_engines_can_be_compared():
    dense = dataclasses.replace(example(), meta={"num_classes": 3, "engine": "dense"})
    assert compare(example(), dense, resamples=2)[0].difference == 0


def test_tables_of_other_images_are_refused():
    """Their labels alone would not tell."""
    first, second = example(), example()
    ids = np.arange(first.n_images, dtype=np.uint64)
    first = dataclasses.replace(first, images=ids)
    assert compare(first, dataclasses.replace(second, images=ids))
    assert compare(first, second)  # of a release that kept no digests
    with pytest.raises(ShiftbenchError, match="their pixels differ"):
        compare(first, dataclasses.replace(second, images=ids + 1))
