"""What one step is, in the results: a pixel, or what the protocol says."""

import numpy as np
import pandas as pd

from shiftbench.metric import per_phase, per_radius, per_shift
from shiftbench.metric.example import example, table_of
from shiftbench.metric.result_rows import metric_rows, phase_rows, shift_rows
from shiftbench.report.tables.run_table import run_tables
from shiftbench.storage.result_files import (
    METRIC_COLUMNS,
    SHIFT_COLUMNS,
    axes_of,
    csv_text,
    in_order,
    metric_columns,
)

IDENTITY = {"run_id": "r", "data": "d", "model": "m", "pool": "p", "head": "h", "padding": "zeros",
            "augment": "none", "seed": 0}  # fmt: skip


def turned(**meta):
    """Answers under -90, 0 and 90 degrees; 0 is the base view."""
    return table_of(
        [[0, 0, 1], [1, 1, 1]], [0, 1], axes=["angle"], shifts=[[0], [-90], [90]],
        previous=[1, -1, 0], meta={"engine": "direct", **meta},
    )  # fmt: skip


def moved():
    table = example()
    table.meta["engine"] = "direct"
    return table


def test_steps_that_are_no_pixels_have_a_column_and_others_none():
    plain = metric_rows({"circular": moved()}, IDENTITY, 10)
    assert metric_columns(plain.columns) == METRIC_COLUMNS
    both = metric_rows({"circular": moved(), "rotate": turned(step="90°")}, IDENTITY, 10)
    assert metric_columns(both.columns) == (*METRIC_COLUMNS, "step")
    steps = both.groupby("protocol")["step"].unique()
    assert steps["circular"].tolist() == ["1 px"]
    assert steps["rotate"].tolist() == ["90°"]
    first = csv_text(both[both["protocol"] == "circular"], METRIC_COLUMNS)
    assert first == csv_text(plain, METRIC_COLUMNS)


def test_a_step_changes_the_answers_that_differ_along_the_path():
    rows = metric_rows({"rotate": turned(step="90°")}, IDENTITY, 10).set_index("metric")
    assert rows.loc["top1_change", "value"] == 0.25  # 1 of 2 images x 2 steps
    assert rows.loc["top1_change", "n_shifts"] == 2


def test_the_table_of_a_run_names_the_step():
    rows = metric_rows({"rotate": turned(step="90°"), "circular": moved()}, IDENTITY, 10)
    text = csv_text(rows, metric_columns(rows.columns))
    lines = [line.split(",") for line in text.splitlines()]
    shown = [dict(zip(lines[0], line, strict=True)) for line in lines[1:]]
    [table] = run_tables(shown, 200)
    assert "rotate: 2 images × 3 shifts (direct, steps of 90°)" in table.caption
    assert "circular: 4 images × 4 shifts (direct)" in table.caption


def test_shifts_have_the_columns_of_all_axes_and_only_translations_have_phases_and_radii():
    tables = {"circular": moved(), "rotate": turned()}
    shifts = {name: per_shift(table) for name, table in tables.items()}
    rows = shift_rows(shifts, "r")
    assert axes_of(in_order(SHIFT_COLUMNS, rows.columns)) == ["dy", "dx", "scale", "angle"]
    assert rows.loc[rows["protocol"] == "rotate", "angle"].tolist() == [-90, 0, 90]
    assert rows.loc[rows["protocol"] == "circular", "angle"].isna().all()
    assert set(phase_rows(shifts, "r", 2)["protocol"]) == {"circular"}
    pd.testing.assert_frame_equal(
        per_phase(rows[rows["protocol"] == "circular"], 2), per_phase(shifts["circular"], 2)
    )
    assert per_radius(turned(), resamples=2).empty


def test_a_translation_with_an_angle_is_no_translation():
    table = table_of([[0, 0, 1]], [0], axes=["dy", "dx", "angle"],
                     shifts=[[0, 0, 0], [0, 1, 0], [0, 0, 9]])  # fmt: skip
    assert per_radius(table, resamples=2).empty
    assert per_phase(per_shift(table), 2).empty
    assert np.array_equal(per_shift(table)["angle"], [0, 9, 0])
