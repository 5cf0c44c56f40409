"""Means by the phase of a shift."""

import math

import numpy as np
import pandas as pd
import pytest

from shiftbench.errors import UsageError
from shiftbench.metric import per_phase, per_shift
from shiftbench.metric.example import table_of


def frame(rows):
    names = ("dy", "dx", "accuracy", "agreement", "mean_absolute_change", "n_images")
    return pd.DataFrame(rows, columns=list(names)).astype(float)


def test_an_answer_that_depends_on_the_phase_alone_has_only_ones_and_zeros():
    axis = np.arange(-4, 5)
    shifts = np.array(sorted(((y, x) for y in axis for x in axis), key=lambda s: s != (0, 0)))
    phase = shifts[:, 0] % 4 * 4 + shifts[:, 1] % 4
    table = table_of(phase[None], [0], num_classes=16, shifts=shifts)
    found = per_phase(per_shift(table), 4)
    assert len(found) == 16
    assert found["n_shifts"].sum() == 81
    assert found["agreement"].tolist() == [1.0] + [0.0] * 15
    assert per_phase(per_shift(table), 2)["agreement"].iloc[0] == pytest.approx(9 / 25)


def test_offsets_of_both_signs_share_a_phase_and_images_weigh_them():
    rows = frame([(-1, 0, 0.5, 0.5, 0.1, 10), (3, 0, 1.0, 0.0, math.nan, 30)])
    [found] = per_phase(rows, 4).to_dict("records")
    assert found == {"dy": 3, "dx": 0, "accuracy": (5 + 30) / 40, "agreement": 5 / 40,
                     "mean_absolute_change": pytest.approx(0.1), "n_shifts": 2,
                     "n_images": 40}  # fmt: skip


def test_half_pixels_keep_their_half():
    rows = frame([(0.5, 2.5, 1, 1, 0, 4)])
    assert per_phase(rows, 2)[["dy", "dx"]].to_numpy().tolist() == [[0.5, 0.5]]


def test_rows_without_a_shift_in_pixels_have_no_phase():
    names = ["scale", "accuracy", "agreement", "mean_absolute_change", "n_images"]
    assert per_phase(pd.DataFrame([[1.0, 1.0, 1.0, 0.0, 2]], columns=names), 2).empty
    with pytest.raises(UsageError, match="period=0 is not positive"):
        per_phase(frame([(0, 0, 1, 1, 0, 1)]), 0)
