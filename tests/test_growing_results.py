"""Result files with other columns than today's: older files, newer files, another shift axis."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from shiftbench.cli.report_command import report_runs
from shiftbench.metric.example import table_of
from shiftbench.metric.result_rows import shift_rows, shifts_of
from shiftbench.report import reading
from shiftbench.report.collect import collect
from shiftbench.report.moved import moved_rows
from shiftbench.report.reading import read_shifts
from shiftbench.report.study import Panel
from shiftbench.storage import result_files
from shiftbench.storage.result_files import (
    METRIC_COLUMNS,
    SHIFT_COLUMNS,
    axes_of,
    read_csv,
    read_rows,
)

REFERENCE = Path(__file__).parents[1] / "outputs" / "reference"
STUDIES = sorted(path.parent.name for path in REFERENCE.glob("*/results.csv.gz"))


def rewrite(run, frame, name="metrics.csv"):
    """Make ``frame`` what the run says that it wrote."""
    frame.to_csv(run / name, index=False)
    status = json.loads((run / "status.json").read_text())
    status["files"][name] = hashlib.sha256((run / name).read_bytes()).hexdigest()
    (run / "status.json").write_text(json.dumps(status))


def metrics_of(run):
    return pd.read_csv(run / "metrics.csv", keep_default_na=False)


@pytest.mark.parametrize("study", STUDIES)
def test_committed_results_of_every_schema_are_read(study, make_run, tmp_path):
    frame = read_csv(REFERENCE / study / "results.csv.gz", METRIC_COLUMNS)
    assert set(METRIC_COLUMNS) <= set(frame)
    with_interval = frame["ci_low"].notna()
    assert frame.loc[with_interval, "interval"].notna().all()
    written = pd.read_csv(REFERENCE / study / "results.csv.gz", keep_default_na=False)
    run = make_run()
    rewrite(run, written[written["run_id"] == written["run_id"].iloc[0]])
    collection = collect([tmp_path / "out"])
    [record] = collection.runs
    assert (record.state, record.error) == ("done", "")
    expected = frame[frame["run_id"] == frame["run_id"].iloc[0]]
    assert collection.metrics["value"].tolist() == expected["value"].tolist()
    assert collection.metrics["interval"].tolist() == expected["interval"].fillna("").tolist()


def test_the_committed_results_are_of_both_schemas():
    assert len(STUDIES) >= 8
    found = {
        name: read_csv(REFERENCE / name / "results.csv.gz", METRIC_COLUMNS) for name in STUDIES
    }
    assert {int(frame["schema_version"].max()) for frame in found.values()} == {1, 2}


def test_a_column_that_is_added_leaves_old_runs_whole(make_run, tmp_path, monkeypatch):
    run = make_run()
    before = collect([tmp_path / "out"]).metrics
    grown = (*METRIC_COLUMNS[:15], "p_value", *METRIC_COLUMNS[15:])
    monkeypatch.setattr(reading, "METRIC_COLUMNS", grown)
    collection = collect([tmp_path / "out"])
    assert (collection.runs[0].state, collection.warnings) == ("done", [])
    assert collection.metrics["p_value"].isna().all()
    pd.testing.assert_frame_equal(collection.metrics[list(METRIC_COLUMNS)], before)
    assert read_csv(run / "metrics.csv", grown)["p_value"].isna().all()
    assert {row["p_value"] for row in read_rows(run / "metrics.csv", grown)} == {""}


def test_a_column_of_a_later_release_is_read_and_reported(make_run, tmp_path, monkeypatch):
    plain, grown = make_run(pool="blur"), make_run(pool="max")
    frame = metrics_of(grown)
    frame.insert(4, "p_value", 0.25)
    rewrite(grown, frame.assign(remark="a, b"))
    collection = collect([tmp_path / "out"])
    assert [run.state for run in collection.runs] == ["done", "done"]
    assert report_runs([str(tmp_path / "out"), "--no-figures"]) == 0
    rows = read_csv(tmp_path / "out" / "report" / "results.csv", METRIC_COLUMNS)
    of_grown = rows["run_id"] == grown.name
    assert list(rows.columns) == [*METRIC_COLUMNS[:4], "p_value", *METRIC_COLUMNS[4:], "remark"]
    assert set(rows.loc[of_grown, "p_value"]) == {0.25}
    assert set(rows.loc[of_grown, "remark"]) == {"a, b"}
    assert rows.loc[~of_grown, ["p_value", "remark"]].isna().all(axis=None)
    assert set(rows.loc[~of_grown, "run_id"]) == {plain.name}


def test_columns_in_another_order_are_the_same_columns(make_run, tmp_path):
    run = make_run()
    before = collect([tmp_path / "out"]).metrics
    rewrite(run, metrics_of(run)[list(reversed(METRIC_COLUMNS))])
    after = collect([tmp_path / "out"]).metrics
    pd.testing.assert_frame_equal(after[list(METRIC_COLUMNS)], before)


def test_a_later_schema_is_a_sentence_and_not_read(make_run, tmp_path):
    run = make_run()
    rewrite(run, metrics_of(run).assign(schema_version=result_files.SCHEMA_VERSION + 1))
    [record] = collect([tmp_path / "out"]).runs
    assert record.state == "damaged"
    assert "reads 1 to" in record.error and "schema_version 3" in record.error


def test_a_required_column_is_missed_by_name(make_run, tmp_path):
    run = make_run()
    rewrite(run, metrics_of(run).drop(columns="engine"))
    [record] = collect([tmp_path / "out"]).runs
    assert (record.state, record.error) == ("damaged", "metrics.csv lacks the columns engine")


@pytest.fixture
def sheared():
    """A table of shifts (dy, dx, shear), of which the last two differ in the shear alone."""
    shifts = [[0, 0, 0], [0, 1, 0], [0, 1, 5]]
    return table_of([[0, 0, 1], [1, 1, 1]], [0, 1], axes=("dy", "dx", "shear"), shifts=shifts)


def test_a_new_axis_is_written_and_read(sheared, make_run, tmp_path):
    plain = table_of([[0, 0], [1, 1]], [0, 1])
    run = make_run()
    rows = shift_rows(shifts_of({"circular": plain, "shear": sheared}), run.name)
    text = result_files.csv_text(rows, result_files.in_order(SHIFT_COLUMNS, rows.columns))
    (run / "shifts.csv").write_text(text)
    rewrite(run, pd.read_csv(run / "shifts.csv", keep_default_na=False), "shifts.csv")
    found = read_shifts(collect([tmp_path / "out"]).runs)
    assert axes_of(found.columns) == ["dy", "dx", "shear", "scale", "angle"]
    assert found.loc[found["protocol"] == "shear", "shear"].tolist() == [0, 0, 5]
    assert found.loc[found["protocol"] == "circular", "shear"].isna().all()
    assert found.loc[found["protocol"] == "shear", "agreement"].tolist() == [1, 1, 0.5]


def test_without_a_new_axis_the_file_is_what_it_was():
    rows = shift_rows(shifts_of({"circular": table_of([[0, 0], [1, 1]], [0, 1])}), "run")
    assert result_files.in_order(SHIFT_COLUMNS, rows.columns) == list(SHIFT_COLUMNS)


def test_figures_of_plain_shifts_leave_the_new_axis_out(sheared):
    rows = shift_rows(shifts_of({"shear": sheared}), "run").assign(config_id="c", scale=np.nan)
    named = pd.DataFrame([{"protocol": "shear", "config_id": "c", "label": "max", "pool": "max",
                           "augment": "none"}])  # fmt: skip
    found = moved_rows(rows, Panel("shear", "shear", named))
    assert found[["dy", "dx"]].to_numpy().tolist() == [[0, 0], [0, 1]]
    assert found["agreement"].tolist() == [1, 1]
