"""Which metrics a table gets, and the registry."""

import math
import subprocess
import sys

import numpy as np
import pytest

from shiftbench.errors import ShiftbenchError, UsageError
from shiftbench.metric import METRICS, Terms, evaluate, metric
from shiftbench.metric.example import example, table_of


def names_of(table):
    return [row.metric for row in evaluate(table, resamples=2)]


def test_metrics_that_do_not_apply_are_skipped():
    assert "jaggedness" not in names_of(example())
    assert "flip_probability" not in names_of(example())
    no_path = table_of([[0, 0, 1]], [0], previous=[-1, -1, -1], num_classes=10)
    assert not {"top1_change", "mean_absolute_change", "jaggedness"} & set(names_of(no_path))
    assert "jaggedness" in names_of(table_of([[0, 0, 1]], [0], num_classes=6))
    assert "jaggedness" not in names_of(table_of([[0, 0, 1]], [0], num_classes=5))


def test_one_sampled_shift_has_no_pairs():
    table = table_of([[0, 0]], [0], sampled=[True, False])
    assert {"consistency", "base_consistency", "wobble"}.isdisjoint(names_of(table))
    assert "pair_consistency" in names_of(table)


def test_a_table_of_base_views_still_has_an_accuracy():
    table = table_of([[0], [1]], [0, 0], sampled=[False])
    assert names_of(table) == ["accuracy"]


def test_names_choose_metrics_and_their_order():
    rows = evaluate(example(), names=["wobble", "accuracy", "jaggedness"])
    assert [row.metric for row in rows] == ["wobble", "accuracy"]
    assert evaluate(example(), names=[]) == []


def test_an_unknown_name_is_refused_with_a_suggestion():
    with pytest.raises(UsageError, match="did you mean 'consistency'"):
        evaluate(example(), names=["consistancy"])


def test_a_table_without_images_is_refused():
    with pytest.raises(ShiftbenchError, match="no images"):
        evaluate(table_of(np.zeros((0, 3)), [], num_classes=3))


def test_rows_count_the_views_that_a_metric_looked_at():
    table = table_of(
        np.zeros((2, 5)), [0, 0], sampled=[False, True, True, True, False],
        previous=[-1, -1, -1, 0, 3],
    )  # fmt: skip
    shifts = {row.metric: row.n_shifts for row in evaluate(table)}
    assert shifts["accuracy"] == 1
    assert shifts["consistency"] == shifts["base_consistency"] == 3
    assert shifts["top1_change"] == 2


def test_values_are_plain_numbers():
    row = evaluate(example())[0]
    assert all(type(x) is float for x in (row.value, row.ci_low, row.ci_high))
    assert type(row.n_images) is type(row.n_shifts) is int


def test_the_table_is_not_changed():
    table, fresh = example(), example()
    evaluate(table)
    assert all(np.array_equal(getattr(table, n), getattr(fresh, n)) for n in ("top1", "sampled"))


def test_a_new_metric_needs_only_the_decorator(monkeypatch):
    monkeypatch.delitem(METRICS, "always_half", raising=False)

    def always_half(table):
        """Half."""
        return Terms.mean(np.full(table.n_images, 0.5), n_shifts=1)

    assert metric("always_half", higher_is_better=True)(always_half) is always_half
    try:
        [row] = evaluate(example(), names=["always_half"])
        # All four images agree: up to 1 - 0.025^(1/4) of all images may be at 0, or at 1.
        unseen = 1 - 0.025**0.25
        assert (row.value, row.interval) == (0.5, "exact")
        assert row.ci_low == pytest.approx(0.5 * (1 - unseen))
        assert row.ci_high == pytest.approx(0.5 * (1 + unseen))
    finally:
        del METRICS["always_half"]


def test_a_name_can_be_taken_only_once():
    with pytest.raises(ValueError, match="already a metric called 'accuracy'"):
        metric("accuracy", higher_is_better=True)(lambda table: table)


def test_metrics_never_import_torch():
    code = "import sys, shiftbench.metric; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_metric_without_bounds_has_no_interval_where_all_images_agree():
    metric("lengths", higher_is_better=None, bounds=(0.0, math.inf))(
        lambda table: Terms.mean(table.p_true[:, 0] * 10, n_shifts=1)
    )
    try:
        same = table_of(np.zeros((6, 2)), np.zeros(6), p_true=np.ones((6, 2)))
        [row] = evaluate(same, names=["lengths"])
        assert (row.value, row.interval) == (10, "")
        assert math.isnan(row.ci_low)
        spread = table_of(np.zeros((6, 2)), np.zeros(6), p_true=np.arange(12).reshape(6, 2))
        [row] = evaluate(spread, names=["lengths"])
        assert row.interval == "bca"
        assert 0 < row.ci_low < row.value < row.ci_high
    finally:
        del METRICS["lengths"]


def test_bounds_other_than_0_and_1_are_those_of_the_interval():
    metric("gain", higher_is_better=True, bounds=(-1.0, 1.0))(
        lambda table: Terms.mean(np.zeros(table.n_images), n_shifts=1)
    )
    try:
        [row] = evaluate(example(), names=["gain"])
        unseen = 1 - 0.025**0.25
        assert (row.ci_low, row.ci_high) == pytest.approx((-unseen, unseen))
    finally:
        del METRICS["gain"]
