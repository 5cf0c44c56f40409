"""Curves over the radius: the metrics of the table whose shifts are those of the radius."""

from dataclasses import replace

import numpy as np
import pytest

from shiftbench.metric import METRICS, evaluate, per_radius
from shiftbench.metric.example import example, table_of
from shiftbench.metric.radius import AT, MOST_RADII, UP_TO
from shiftbench.prediction_table import PredictionTable
from shiftbench.storage import spilled


def grid_table(images=30, reach=2, seed=0, classes=4):
    """Random answers on the grid −reach..reach, the base view first."""
    axis = np.arange(-reach, reach + 1)
    shifts = np.array(sorted(((y, x) for y in axis for x in axis), key=lambda s: (s != (0, 0), s)))
    rng = np.random.default_rng(seed)
    answers = rng.integers(-1, classes, (images, len(shifts)))
    return table_of(answers, rng.integers(0, classes, images), num_classes=classes, shifts=shifts,
                    previous=np.full(len(shifts), -1))  # fmt: skip


def restricted(table, keep):
    """The same table with only these columns in S."""
    return replace(table, sampled=table.sampled & keep)


def rows_of(found, shifts, metric):
    chosen = found[(found["shifts"] == shifts) & (found["metric"] == metric)]
    return dict(zip(chosen["radius"], chosen.to_dict("records"), strict=True))


@pytest.mark.parametrize(
    ("shifts", "metric"),
    [(UP_TO, "shift_accuracy"), (UP_TO, "worst_accuracy"), (UP_TO, "consistency"),
     (AT, "shift_accuracy"), (AT, "base_consistency")],
)  # fmt: skip
def test_a_point_is_the_metric_of_the_shifts_of_its_radius(shifts, metric):
    table = grid_table()
    away = np.abs(table.shifts).max(axis=1)
    found = rows_of(per_radius(table, resamples=200), shifts, metric)
    for radius in (0, 1, 2):
        keep = away <= radius if shifts == UP_TO else away == radius
        part = restricted(table, keep)
        if not METRICS[metric].applies(part):
            assert radius not in found
            continue
        [own] = evaluate(part, names=[metric], resamples=200)
        row = found[radius]
        assert row["value"] == pytest.approx(own.value, abs=1e-12)
        assert (row["ci_low"], row["ci_high"]) == pytest.approx((own.ci_low, own.ci_high), abs=1e-9)
        assert (row["interval"], row["n_images"]) == (own.interval, own.n_images)
        assert row["n_shifts"] == own.n_shifts


def test_up_to_the_largest_radius_is_the_whole_set():
    table = grid_table(seed=3)
    found = per_radius(table, resamples=0)
    for metric in ("shift_accuracy", "worst_accuracy", "consistency"):
        assert rows_of(found, UP_TO, metric)[2]["value"] == METRICS[metric](table).value


def test_the_worst_case_begins_with_the_accuracy_and_never_rises():
    table = grid_table(images=200, classes=2, seed=5)
    worst = [row["value"] for row in rows_of(per_radius(table, resamples=0), UP_TO,
                                             "worst_accuracy").values()]  # fmt: skip
    assert worst[0] == METRICS["accuracy"](table).value
    assert worst == sorted(worst, reverse=True)
    assert worst[-1] < worst[0]


def test_shifts_drawn_per_image_are_pooled():
    # Image 0 has radii 1 and 2, image 1 radius 2 twice; the base view is not in S.
    shifts = [[[0, 0], [0, 1], [2, 0]], [[0, 0], [-2, 1], [0, 2]]]
    table = table_of([[0, 0, 1], [1, 0, 0]], [0, 1], num_classes=2, shifts=shifts,
                     sampled=[False, True, True])  # fmt: skip
    found = per_radius(table, resamples=0)
    assert [row["value"] for row in rows_of(found, AT, "shift_accuracy").values()] == [1, 0]
    assert rows_of(found, UP_TO, "shift_accuracy")[2]["value"] == 1 / 4
    assert rows_of(found, UP_TO, "consistency")[2]["value"] == 1 / 2  # one pair of each image
    assert list(rows_of(found, UP_TO, "consistency")) == [2]
    assert [row["value"] for row in rows_of(found, UP_TO, "worst_accuracy").values()] == [1, 1, 0]
    assert rows_of(found, AT, "base_consistency")[1]["n_images"] == 1


def test_a_table_in_parts_has_the_same_bytes(monkeypatch):
    table = grid_table(images=50)
    whole = per_radius(table, resamples=20)
    monkeypatch.setattr(spilled, "is_spilled", lambda _: True)
    monkeypatch.setattr(spilled, "release", lambda *_: None)
    monkeypatch.setattr("shiftbench.prediction_table.PART", 7 * table.top1.shape[1])
    assert sum(1 for _ in table.parts()) == 8
    assert per_radius(table, resamples=20).equals(whole)


def test_many_fractional_radii_become_whole_pixels():
    columns = 2 * MOST_RADII
    shifts = np.stack([np.zeros(columns), np.arange(columns) / 100], axis=1)
    table = table_of(np.zeros((2, columns), int), [0, 0], num_classes=1, shifts=shifts)
    assert per_radius(table, resamples=0)["radius"].unique().tolist() == [0, 1, 2, 3]


def test_a_protocol_that_does_not_move_images_has_no_curve():
    table = replace(example(), axes=("scale",), shifts=example().shifts[:, :1])
    assert isinstance(table, PredictionTable)
    assert per_radius(table).empty
