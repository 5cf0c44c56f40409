"""Each metric against numbers worked out by hand."""

import numpy as np
import pytest

from shiftbench.metric import METRICS
from shiftbench.metric.example import example, table_of

HORIZONTAL = {"protocol": {"path": "horizontal"}}


def value(name, table):
    return METRICS[name](table).value


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("accuracy", 3 / 4),
        ("shift_accuracy", 9 / 16),
        ("worst_accuracy", 1 / 4),
        ("consistency", (1 / 2 + 1 / 3 + 1 + 1) / 4),
        ("pair_consistency", (10 / 16 + 8 / 16 + 1 + 1) / 4),
        ("kway_consistency", (244 / 1024 + 64 / 1024 + 1 + 1) / 4),
        ("base_consistency", (2 / 3 + 1 / 3 + 1 + 1) / 4),
        ("correct_consistency", (6 + 2 + 0 + 12) / (12 + 10 + 0 + 12)),
        ("stable_accuracy", 9 / 16),
        ("chance_consistency", (49 + 49 + 4 - 10 - 8 - 16 - 16) / 192),
        ("top1_change", 2 / 12),
        ("mean_absolute_change", 2 / 12),
        ("wobble", 2 / 4),
        ("exact_fraction", 13 / 16),
    ],
)
def test_metric_of_the_example(name, expected):
    assert value(name, example()) == pytest.approx(expected, abs=1e-12)


def test_every_metric_is_tested_above_or_needs_more_than_the_example_has():
    skipped = {name: m.missing(example()) for name, m in METRICS.items() if m.missing(example())}
    assert skipped == {
        "jaggedness": "more than five classes",
        "flip_probability": "a horizontal path",
        "peer_consistency": "the draws of a publication (sampling=peer)",
    }


def test_metrics_come_in_the_order_of_the_specification():
    assert list(METRICS) == [
        "accuracy", "shift_accuracy", "worst_accuracy",
        "consistency", "pair_consistency", "kway_consistency", "base_consistency",
        "correct_consistency", "stable_accuracy", "chance_consistency",
        "top1_change", "mean_absolute_change", "jaggedness", "flip_probability",
        "wobble", "exact_fraction", "peer_consistency",
    ]  # fmt: skip


def test_the_base_belongs_to_s_only_if_it_was_sampled():
    answers = [[0, 1, 1, 0]]
    without = table_of(answers, [0], sampled=[False, True, True, True])
    assert value("shift_accuracy", without) == pytest.approx(1 / 3)
    assert value("shift_accuracy", table_of(answers, [0])) == 1 / 2
    assert value("consistency", without) == pytest.approx(1 / 3)
    assert value("base_consistency", without) == pytest.approx(1 / 3)


def test_columns_outside_s_count_for_steps_only():
    table = table_of(
        [[0, 0, 0, 1]], [0], sampled=[True, True, True, False], previous=[-1, -1, -1, 2]
    )
    assert value("consistency", table) == 1
    assert value("worst_accuracy", table) == 1
    assert value("top1_change", table) == 1


def test_worst_accuracy_includes_a_base_view_outside_s():
    table = table_of([[1, 0, 0]], [0], sampled=[False, True, True])
    assert value("shift_accuracy", table) == 1
    assert value("worst_accuracy", table) == 0


def test_steps_follow_previous_not_the_column_order():
    table = table_of([[0, 1, 0, 1]], [0], previous=[-1, 3, 0, -1])
    assert value("top1_change", table) == 0


def test_base_consistency_finds_the_zero_shift_of_each_image():
    shifts = np.array([[[0, 0], [0, 0], [1, 0]], [[0, 0], [0, 1], [1, 0]]])
    table = table_of([[0, 0, 1], [0, 0, 1]], [0, 0], shifts=shifts, sampled=[False, True, True])
    assert value("base_consistency", table) == (0 + 1 / 2) / 2


def test_base_consistency_leaves_out_an_image_that_was_never_moved():
    shifts = np.array([[[0, 0], [0, 0]], [[0, 0], [0, 1]]])
    table = table_of([[0, 0], [0, 1]], [0, 0], shifts=shifts)
    terms = METRICS["base_consistency"](table)
    assert (terms.value, terms.n_images, terms.n_shifts) == (0, 1, 1)


def test_the_zero_shift_of_a_scale_protocol_is_the_base_size():
    table = table_of([[0, 0, 1]], [0], shifts=[[100], [100], [101]], axes=("size",))
    assert value("base_consistency", table) == 0


def test_mean_absolute_change_compares_along_the_path():
    nan = float("nan")
    table = table_of(
        [[0, 0, 1], [2, 2, 2]],
        [0, 2],
        p_top1=[[0.9, 0.7, 0.6], [0.5, 0.5, 0.5]],
        p_previous=[[nan, 0.7, 0.3], [nan, 0.75, 0.5]],
    )
    expected = (0.2 + 0.4 + 0.25 + 0) / 4
    assert value("mean_absolute_change", table) == pytest.approx(expected, abs=1e-7)


def test_jaggedness_counts_only_steps_that_start_in_the_top_five():
    ranks = [[0, 5, 0, 5, 5], [4, 4, 4, 4, 4], [9, 9, 9, 9, 9]]
    table = table_of(np.ones((3, 5)), [0, 0, 0], rank_true=ranks, num_classes=10)
    terms = METRICS["jaggedness"](table)
    assert terms.value == pytest.approx(2 / 6)
    assert terms.n_images == 2


def test_flip_probability_is_top1_change_on_a_horizontal_path():
    table = table_of([[0, 1, 1, 0]], [0], meta=HORIZONTAL)
    assert value("flip_probability", table) == value("top1_change", table) == pytest.approx(2 / 3)


def test_wobble_includes_the_base_view_outside_s():
    table = table_of([[0, 0, 0]], [0], p_base=[[0.9, 0.5, 0.4]], sampled=[False, True, True])
    assert value("wobble", table) == pytest.approx(0.5, abs=1e-7)


def test_exact_fraction_is_relative_to_the_size_of_the_logits():
    change = [[0, 9e-6, 2e-5, 9e-3], [0, 9e-6, 2e-5, 9e-3]]
    table = table_of(np.zeros((2, 4)), [0, 0], logit_change=change, logit_scale=[1, 1000])
    assert METRICS["exact_fraction"](table).value == (2 / 4 + 4 / 4) / 2
    assert METRICS["exact_fraction"].function(table, tolerance=0).value == 1 / 4


def test_exact_fraction_of_all_zero_logits_is_one():
    table = table_of([[0, 0]], [0], logit_change=[[0, 0]], logit_scale=[0])
    assert value("exact_fraction", table) == 1


def test_two_classes_at_random_answer_alike_half_the_time():
    rng = np.random.default_rng(0)
    table = table_of(rng.integers(0, 2, (2000, 20)), rng.integers(0, 2, 2000))
    assert value("consistency", table) == pytest.approx(0.5, abs=0.01)
    assert value("chance_consistency", table) == pytest.approx(0.5, abs=0.01)


def test_a_thousand_classes_at_random_almost_never_agree():
    rng = np.random.default_rng(0)
    table = table_of(rng.integers(0, 1000, (300, 100)), rng.integers(0, 1000, 300))
    assert value("consistency", table) == pytest.approx(0.001, abs=0.0005)
    assert value("pair_consistency", table) == pytest.approx(0.001 + 0.01, abs=0.0005)
    assert value("chance_consistency", table) == pytest.approx(0.001, abs=0.0005)


def test_arrow_and_summary_serve_reports():
    assert [METRICS[name].arrow for name in ("accuracy", "wobble", "chance_consistency")] == [
        "↑", "↓", "–",
    ]  # fmt: skip
    assert METRICS["accuracy"].summary.endswith("in the base view.")
    assert all(metric.summary.endswith(".") for metric in METRICS.values())
