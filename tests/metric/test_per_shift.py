"""One row per shift."""

import dataclasses

import numpy as np
import pytest

from shiftbench.metric import METRICS, per_shift
from shiftbench.metric.example import table_of


def test_known_answer_with_shared_shifts():
    table = table_of(
        [[0, 0, 1], [1, 0, 1]],
        [0, 0],
        shifts=[[0, 0], [2, -1], [-2, 3]],
        p_base=[[0.5, 0.25, 0], [0.5, 0.5, 1]],
    )
    rows = per_shift(table)
    assert rows.to_dict("list") == {
        "dy": [-2, 0, 2],
        "dx": [3, 0, -1],
        "accuracy": [0, 0.5, 1],
        "agreement": [0.5, 1, 0.5],
        "mean_absolute_change": [0.5, 0, 0.125],
        "n_images": [2, 2, 2],
    }


def test_shifts_drawn_per_image_are_grouped():
    shifts = [[[0, 0], [0, 1], [1, 0]], [[0, 0], [1, 0], [0, 2]]]
    table = table_of([[0, 0, 1], [0, 0, 1]], [0, 0], shifts=shifts, sampled=[False, True, True])
    rows = per_shift(table)
    assert rows[["dy", "dx"]].to_numpy().tolist() == [[0, 1], [0, 2], [1, 0]]
    assert list(rows["accuracy"]) == [1, 0, 0.5]
    assert list(rows["agreement"]) == [1, 0, 0.5]
    assert list(rows["n_images"]) == [1, 1, 2]


def test_per_image_shifts_that_are_all_the_same_give_the_shared_answer():
    rng = np.random.default_rng(0)
    table = table_of(
        rng.integers(0, 3, (20, 9)), rng.integers(0, 3, 20), sampled=[False] + [True] * 8
    )
    tiled = np.broadcast_to(table.shifts, (20, 9, 2))
    assert per_shift(dataclasses.replace(table, shifts=tiled)).equals(per_shift(table))


def test_a_shift_in_two_columns_is_one_row():
    rows = per_shift(table_of([[0, 0, 1]], [0], shifts=[[0, 0], [0, 1], [0, 1]]))
    assert list(rows["n_images"]) == [1, 2]
    assert list(rows["agreement"]) == [1, 0.5]


def test_rows_average_to_the_metrics():
    rng = np.random.default_rng(1)
    table = table_of(rng.integers(0, 3, (30, 6)), rng.integers(0, 3, 30))
    rows = per_shift(table)
    assert rows["accuracy"].mean() == pytest.approx(METRICS["shift_accuracy"](table).value)
    moved = rows[rows["dx"] != 0]
    assert moved["agreement"].mean() == pytest.approx(METRICS["base_consistency"](table).value)


def test_columns_are_named_by_the_axes():
    table = table_of([[0, 0]], [0], shifts=[[100], [101]], axes=("size",))
    assert list(per_shift(table).columns) == [
        "size", "accuracy", "agreement", "mean_absolute_change", "n_images",
    ]  # fmt: skip


def test_a_table_without_sampled_shifts_has_no_rows():
    rows = per_shift(table_of([[0, 0]], [0], sampled=[False, False]))
    assert len(rows) == 0
    assert "agreement" in rows
