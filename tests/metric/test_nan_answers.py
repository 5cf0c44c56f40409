"""Where the network answered NaN: never right, never in agreement, never silently counted."""

import numpy as np
import pytest

from shiftbench.metric import METRICS, evaluate, per_shift
from shiftbench.metric.example import table_of

NAN = float("nan")


def value(name, table):
    return METRICS[name](table).value


def test_a_nan_answer_agrees_with_nothing_not_even_another():
    table = table_of([[0, -1, -1, 0]], [0])
    assert value("consistency", table) == pytest.approx(1 / 6)
    assert value("pair_consistency", table) == 4 / 16
    assert value("base_consistency", table) == pytest.approx(1 / 3)
    assert value("top1_change", table) == 1


def test_nan_answers_of_different_images_agree_with_nothing_either():
    table = table_of([[0, -1], [-1, 0]], [0, 0])
    assert value("chance_consistency", table) == 1 / 4


def test_a_nan_answer_is_never_right():
    table = table_of([[0, -1], [-1, 1]], [0, 1])
    assert value("accuracy", table) == 1 / 2
    assert value("shift_accuracy", table) == 1 / 2
    assert value("worst_accuracy", table) == 0
    assert value("stable_accuracy", table) == 1 / 4


def test_a_nan_answer_is_not_right_even_where_the_label_is_unknown():
    assert value("accuracy", table_of([[-1, -1]], [-1], num_classes=2)) == 0


def test_steps_with_a_nan_answer_are_left_out_of_the_mean_absolute_change():
    table = table_of(
        [[0, 0, -1, 0], [-1, -1, -1, -1]],
        [0, 0],
        # What a table holds for the class -1 is garbage and must not be read.
        p_top1=[[0.9, 0.7, 55, 0.5], [66] * 4],
        p_previous=[[NAN, 0.7, 44, 123], [NAN, 99, 99, 99]],
    )
    terms = METRICS["mean_absolute_change"](table)
    assert terms.value == pytest.approx(0.2, abs=1e-7)
    assert terms.n_images == 1


def test_wobble_leaves_out_nan_views_and_images_with_nothing_to_compare():
    table = table_of(
        [[0, -1, 0], [-1, 0, 0], [0, -1, -1]],
        [0, 0, 0],
        p_base=[[0.9, 77, 0.4], [88, 88, 88], [0.5, NAN, NAN]],
    )
    terms = METRICS["wobble"](table)
    assert terms.value == pytest.approx(0.5, abs=1e-7)
    assert terms.n_images == 1


def test_jaggedness_takes_a_nan_answer_as_outside_the_top_five():
    table = table_of([[0, -1, 0]], [0], rank_true=[[0, 0, 0]], num_classes=10)
    assert value("jaggedness", table) == 1


def test_nan_and_infinite_logits_are_never_exact():
    table = table_of(
        [[0, -1, 0], [0, 0, 0]],
        [0, 0],
        logit_change=[[0, NAN, np.inf], [0, 0, np.inf]],
        logit_scale=[1, np.inf],
    )
    assert value("exact_fraction", table) == (1 + 2) / 6


def test_a_network_that_only_answers_nan_has_zeros_and_undefined_values():
    table = table_of(np.full((3, 4), -1), [0, 1, 2], num_classes=10)
    rows = {row.metric: row for row in evaluate(table)}
    for name in ("accuracy", "consistency", "base_consistency", "chance_consistency"):
        assert rows[name].value == 0
    assert rows["top1_change"].value == 1
    for name in ("correct_consistency", "mean_absolute_change", "jaggedness", "wobble"):
        assert np.isnan(rows[name].value)
        assert np.isnan(rows[name].ci_low)
        assert rows[name].n_images == 0


def test_per_shift_does_not_read_probabilities_of_nan_answers():
    p_base = [[0.5, 77, 0.25], [88, 99, 99]]
    rows = per_shift(table_of([[0, -1, 0], [-1, 0, 0]], [0, 0], p_base=p_base))
    assert rows["mean_absolute_change"].tolist() == pytest.approx([0, NAN, 0.25], nan_ok=True)


def test_per_shift_leaves_nan_out_of_the_change_only():
    rows = per_shift(table_of([[0, -1], [0, 1], [0, -1]], [0, 0, 0]))
    assert list(rows["accuracy"]) == [1, 0]
    assert list(rows["agreement"]) == [1, 0]
    assert list(rows["mean_absolute_change"]) == [0, 1]
    assert list(rows["n_images"]) == [3, 3]
    assert np.isnan(per_shift(table_of([[0, -1]], [0]))["mean_absolute_change"][1])
