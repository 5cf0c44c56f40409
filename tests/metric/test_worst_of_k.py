"""Worst of k random shifts: the closed form against every draw, and where it may be asked for."""

from functools import partial
from itertools import combinations

import numpy as np
import pytest

from shiftbench.errors import UsageError
from shiftbench.metric import METRICS, OPT_IN, about, evaluate
from shiftbench.metric.accuracy import shift_accuracy, worst_accuracy
from shiftbench.metric.example import example, table_of
from shiftbench.metric.options import metrics_of, metrics_of_settings, standard
from shiftbench.metric.worst_of_k import worst_of_k


def random_table(images=7, shifts=6, seed=0):
    answers = np.random.default_rng(seed).integers(0, 2, (images, shifts))
    return table_of(answers, np.zeros(images, int), num_classes=2)


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5, 6])
def test_it_is_the_mean_over_every_draw_of_k_shifts(k):
    table = random_table()
    right = table.top1 == 0
    draws = [right[:, list(draw)].all(axis=1) for draw in combinations(range(6), k)]
    assert worst_of_k(table, k=k).value == pytest.approx(np.mean(draws), abs=1e-12)


def test_one_draw_is_the_mean_and_all_draws_are_the_worst_case():
    assert worst_of_k(example(), k=1).value == shift_accuracy(example()).value
    assert worst_of_k(example(), k=4).value == worst_accuracy(example()).value


def test_nan_answers_are_never_right():
    table = table_of([[0, 0, -1]], [0])
    assert worst_of_k(table, k=2).value == pytest.approx(1 / 3)
    assert worst_of_k(table, k=3).value == 0


def test_fewer_shifts_than_draws_are_no_number():
    [row] = evaluate(example(), names=["worst_of_k"], resamples=10)
    assert np.isnan(row.value)
    assert row.n_images == 0


def test_large_numbers_neither_overflow_nor_turn_negative():
    table = random_table(images=3, shifts=2000)
    assert 0 <= worst_of_k(table, k=1500).value < 1e-300
    sure = table_of(np.zeros((2, 2000), int), [0, 0], num_classes=2)
    assert worst_of_k(sure, k=1500).value == 1


def test_only_a_run_that_names_it_has_it():
    assert "worst_of_k" in OPT_IN
    assert "worst_of_k" not in METRICS
    assert "worst_of_k" not in [row.metric for row in evaluate(example(), resamples=10)]
    assert metrics_of({"standard": partial(standard)}) == list(standard())
    chosen = metrics_of({"worst_of_k": partial(worst_of_k, k=3), "standard": partial(standard)})
    assert [one.name for one in chosen] == [*(one.name for one in standard()), "worst_of_k"]
    assert chosen[-1](example()).value == worst_of_k(example(), k=3).value


def test_a_finished_run_is_remeasured_with_it_and_reports_know_it():
    settings = {"metric.worst_of_k._target_": "worst_of_k.worst_of_k", "metric.worst_of_k.k": 3}
    [found] = metrics_of_settings(settings)
    assert found(example()).value == worst_of_k(example(), k=3).value
    assert about("worst_of_k").higher_is_better


def test_no_draw_is_refused_before_a_run_begins():
    with pytest.raises(UsageError, match=r"metric\.worst_of_k\.k=0 is out of range"):
        metrics_of({"worst_of_k": partial(worst_of_k, k=0)})
