"""``shiftbench report --remeasure``: numbers of older runs, again from their tables."""

import hashlib
import json

import numpy as np
import pandas as pd
import pytest

from shiftbench.metric import evaluate
from shiftbench.metric.example import table_of
from shiftbench.prediction_table import PredictionTable
from shiftbench.runs import results_versions
from shiftbench.runs.remeasure import remeasure
from shiftbench.storage import atomic
from shiftbench.storage.locks import exclusive
from shiftbench.storage.result_files import (
    METRIC_COLUMNS,
    PHASE_COLUMNS,
    RADIUS_COLUMNS,
    read_csv,
)

# Every part of FROM_TABLES had its first version.
OLDER = {part: number for part, number in results_versions.current({}).items()
         if part not in results_versions.FROM_TABLES}  # fmt: skip


def table():
    answers = np.random.default_rng(0).integers(0, 3, (12, 4))
    return table_of(answers, answers[:, 0], meta={"engine": "direct"})


@pytest.fixture
def older(make_run):
    """A maker of finished runs whose numbers an earlier release reduced, in its schema."""

    def make(**labels):
        values = {"circular": {"accuracy": (0.5, 0.4, 0.6), "correct_consistency": (0.9, 0.8, 1.0)}}
        folder = make_run(values, tables={"circular": table()}, **labels)
        path = folder / "metrics.csv"
        frame = pd.read_csv(path, keep_default_na=False).assign(schema_version=1)
        frame.drop(columns="interval").to_csv(path, index=False, lineterminator="\n")
        _edit(folder / "run.json", versions=OLDER)
        _edit(folder / "status.json", files=digests(folder))
        return folder

    return make


def _edit(path, **content):
    path.write_text(json.dumps({**json.loads(path.read_text()), **content}))


def digests(folder):
    names = ("metrics.csv", "shifts.csv")
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}


def content(folder):
    found = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {path.name: path.read_bytes() for path in found}


def test_rows_are_those_that_a_run_would_write_today(older):
    folder = older()
    before = read_csv(folder / "metrics.csv", METRIC_COLUMNS)
    done = remeasure([folder])
    assert (done.changed, done.same, done.left) == ([folder], [], {})
    frame = read_csv(folder / "metrics.csv", METRIC_COLUMNS)
    expected = pd.DataFrame(evaluate(table())).set_index("metric")
    found = frame.set_index("metric")
    assert list(found.index) == list(expected.index)
    for name in ("value", "ci_low", "ci_high"):
        assert found[name].to_numpy() == pytest.approx(expected[name].to_numpy(), rel=1e-8)
    assert found["interval"].tolist() == expected["interval"].tolist()
    assert set(frame["schema_version"]) == {2}
    for name in ("run_id", "pool", "seed", "params", "macs"):
        assert frame[name].unique().tolist() == before[name].unique().tolist()
    shifts = pd.read_csv(folder / "shifts.csv")
    assert shifts["dx"].tolist() == [0, 1, 2, 3]
    assert shifts["accuracy"].tolist()[0] == 1


def test_the_run_is_marked_and_others_see_that_it_is_whole(older):
    folder = older()
    remeasure([folder])
    made = json.loads((folder / "run.json").read_text())["versions"]
    assert made == {
        **OLDER,
        **{part: results_versions.CURRENT[part] for part in results_versions.FROM_TABLES},
    }
    status = json.loads((folder / "status.json").read_text())
    assert status["state"] == "done"
    assert status["files"] == digests(folder)
    assert "remeasured" in status and "remeasuring" not in status


def test_what_is_up_to_date_is_not_written_again(older):
    folder = older()
    remeasure([folder])
    first = content(folder)
    assert remeasure([folder]).same == [folder]
    assert content(folder) == first


def test_what_cannot_be_remeasured_is_left_as_it_is_and_why(older, make_run):
    unfinished = make_run(pool="a", error="no")
    no_table = make_run(pool="b")
    edited, torn, other = older(pool="c"), older(pool="d"), older(pool="e")
    (edited / "metrics.csv").write_text((edited / "metrics.csv").read_text().replace("0.5", "0.6"))
    (torn / "predictions" / "circular.npz").write_bytes(b"PK")
    path = other / "predictions" / "circular.npz"
    found = PredictionTable.load(path)
    found.meta["run_id"] = "of-another"
    found.save(path)
    locked = older(pool="f")
    folders = [unfinished, no_table, edited, torn, other, locked]
    before = [content(folder) for folder in folders]
    with exclusive(locked / ".lock"):
        done = remeasure(folders)
    assert not done.changed and not done.same
    assert [content(folder) for folder in folders] == before
    reasons = ["not finished (failed)", "no prediction table", "changed since the run wrote it",
               "not a readable prediction table", "of another run, of-another",
               "another process works on it"]  # fmt: skip
    for folder, reason in zip(folders, reasons, strict=True):
        assert reason in done.left[folder]


@pytest.mark.slow
@pytest.mark.parametrize("stop", [1, 2, 3, 4])
def test_a_run_that_was_stopped_in_between_is_finished_by_the_next_call(older, monkeypatch, stop):
    whole = older(pool="max")
    remeasure([whole])
    folder, write, count = older(pool="blur"), atomic.write_text, 0

    def until(path, text):
        nonlocal count
        if count == stop:
            raise OSError("no space left")
        count += 1
        write(path, text)

    for module in ("runs.remeasure", "storage.json_files"):
        monkeypatch.setattr(f"shiftbench.{module}.write_text", until)
    assert "no space left" in remeasure([folder]).left[folder]
    monkeypatch.undo()
    assert remeasure([folder]).changed == [folder]
    columns = ["metric", "value", "ci_low", "ci_high", "interval"]
    frames = [read_csv(one / "metrics.csv", METRIC_COLUMNS)[columns] for one in (whole, folder)]
    pd.testing.assert_frame_equal(*frames)
    assert json.loads((folder / "status.json").read_text())["files"] == digests(folder)


@pytest.mark.slow
def test_the_verb_says_what_it_did_without_torch(older, shiftbench_command, tmp_path):
    older(pool="max")
    plain = shiftbench_command("report", "out", "--no-figures", cwd=tmp_path)
    for part in results_versions.FROM_TABLES:
        assert f"an older results version of {part}: 1 with 1, now 2" in plain.stderr
    assert plain.stderr.count("report --remeasure brings older ones up to date") == 3
    done = shiftbench_command("report", "out", "--no-figures", "--remeasure", cwd=tmp_path,
                              env={"PYTHONPROFILEIMPORTTIME": "1"})  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert " torch" not in done.stderr
    assert "1 runs; 0 were up to date, 0 left alone" in done.stderr
    assert "older results version" not in done.stderr
    results = pd.read_csv(tmp_path / "out" / "report" / "results.csv")
    [value] = results.loc[results["metric"] == "correct_consistency", "value"]
    [expected] = evaluate(table(), names=["correct_consistency"], resamples=0)
    assert value == pytest.approx(expected.value)
    again = shiftbench_command("report", "out", "--no-figures", "--remeasure", cwd=tmp_path)
    assert "0 runs; 1 were up to date" in again.stderr


def test_curves_are_written_to_runs_that_lack_them(older):
    folder = older()
    remeasure([folder])
    rows = read_csv(folder / "radius.csv", RADIUS_COLUMNS)
    assert rows["radius"].max() == 3
    assert not (folder / "phase.csv").exists()  # the stride of its network is not known
    _edit(folder / "run.json", total_stride=2)
    (folder / "radius.csv").unlink()
    assert remeasure([folder]).changed == [folder]
    assert read_csv(folder / "radius.csv", RADIUS_COLUMNS).equals(rows)
    assert read_csv(folder / "phase.csv", PHASE_COLUMNS)["dx"].tolist() == [0, 1]
