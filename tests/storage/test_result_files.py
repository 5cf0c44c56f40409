"""Result files of this schema, of earlier ones and of later ones."""

import math

import pandas as pd
import pytest

from shiftbench.errors import ShiftbenchError
from shiftbench.storage.result_files import METRIC_COLUMNS, read_csv, read_rows, write_csv

FIRST_COLUMNS = tuple(name for name in METRIC_COLUMNS if name != "interval")


def rows(schema):
    whole = {**dict.fromkeys(METRIC_COLUMNS, "x"), "seed": 0, "value": 0.5, "ci_low": 0.25,
             "ci_high": 0.75, "interval": "wilson", "schema_version": schema}  # fmt: skip
    return pd.DataFrame([whole, {**whole, "ci_low": math.nan, "ci_high": math.nan, "interval": ""}])


def test_intervals_of_the_first_schema_are_percentiles(tmp_path):
    path = tmp_path / "metrics.csv"
    write_csv(rows(1), path, FIRST_COLUMNS)
    assert "interval" not in path.read_text()
    frame = read_csv(path, METRIC_COLUMNS)
    assert set(frame) == set(METRIC_COLUMNS)
    assert frame["interval"].tolist()[0] == "percentile"
    assert pd.isna(frame["interval"].tolist()[1])
    assert [row["interval"] for row in read_rows(path, METRIC_COLUMNS)] == ["percentile", ""]


def test_intervals_of_this_schema_are_what_the_file_says(tmp_path):
    path = tmp_path / "metrics.csv"
    write_csv(rows(2), path, METRIC_COLUMNS)
    assert read_csv(path, METRIC_COLUMNS)["interval"].tolist()[0] == "wilson"
    assert [row["interval"] for row in read_rows(path, METRIC_COLUMNS)] == ["wilson", ""]


@pytest.mark.parametrize("read", [read_csv, read_rows])
def test_later_schemas_are_refused(tmp_path, read):
    path = tmp_path / "metrics.csv"
    write_csv(rows(3), path, METRIC_COLUMNS)
    with pytest.raises(ShiftbenchError, match="schema_version 3; this version of shiftbench reads"):
        read(path, METRIC_COLUMNS)


@pytest.mark.parametrize("read", [read_csv, read_rows])
def test_a_column_that_no_schema_lacks_is_missed(tmp_path, read):
    path = tmp_path / "metrics.csv"
    write_csv(rows(1), path, [name for name in FIRST_COLUMNS if name != "protocol"])
    with pytest.raises(ShiftbenchError, match="lacks the columns protocol"):
        read(path, METRIC_COLUMNS)
