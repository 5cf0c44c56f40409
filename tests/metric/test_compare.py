"""Paired differences."""

import dataclasses

import numpy as np
import pytest

from shiftbench.errors import ShiftbenchError
from shiftbench.metric import Terms, compare, evaluate
from shiftbench.metric.bootstrap import Bootstrap
from shiftbench.metric.example import example, table_of


def pair_of_tables(images=200, shifts=10):
    """Two networks that find the same images hard, b a little better."""
    rng = np.random.default_rng(4)
    share = rng.beta(0.5, 0.5, (images, 1))
    luck = rng.random((images, shifts))
    wrong = rng.integers(1, 4, (images, shifts))
    labels = np.zeros(images)
    return [table_of(np.where(luck < s, 0, wrong), labels) for s in (share, share + 0.03)]


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_a_table_does_not_differ_from_itself(method):
    table = pair_of_tables()[0]
    rows = compare(table, table, method=method)
    assert len(rows) == 14
    assert all((row.difference, row.ci_low, row.ci_high) == (0, 0, 0) for row in rows)


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


def test_the_interval_is_that_of_per_image_differences():
    a, b = pair_of_tables()
    [row] = compare(a, b, names=["shift_accuracy"], resamples=4000)
    each = (b.top1 == 0).mean(axis=1) - (a.top1 == 0).mean(axis=1)
    error = each.std() / np.sqrt(len(each))
    assert row.ci_high - row.ci_low == pytest.approx(2 * 1.96 * error, rel=0.1)


def test_bca_of_a_difference_is_that_of_per_image_differences():
    a, b = pair_of_tables(images=40)
    [row] = compare(a, b, names=["shift_accuracy"], method="bca")
    each = Terms.mean((b.top1 == 0).mean(axis=1) - (a.top1 == 0).mean(axis=1), 1)
    made = Bootstrap(method="bca")
    [replicates] = made.replicates([each])
    expected = made.interval(each.value, replicates, made.leave_one_out(each))
    assert (row.ci_low, row.ci_high) == pytest.approx(expected)


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
