"""Mean and spread over seeds, computed by hand; failed and missing runs are counted."""

import json
import shutil
import statistics

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shiftbench.metric import METRICS
from shiftbench.report.load.collect import collect
from shiftbench.report.load.records import LABELS, Collection, RunRecord
from shiftbench.report.tables.run_table import FIRST
from shiftbench.report.tables.summary import SUMMARY_COLUMNS, metric_columns, summarise
from shiftbench.runs.sweep_state import DONE, FAILED, Sweep
from shiftbench.storage.result_files import METRIC_COLUMNS


def test_mean_sd_and_interval_over_seeds_by_hand(make_run, of, tmp_path):
    for seed, value in enumerate([0.1, 0.2, 0.6]):
        make_run(of(accuracy=(value, value - 0.1, value + 0.2)), seed=seed)
    [row] = summarise(collect([tmp_path])).to_dict("records")
    assert row["accuracy"] == pytest.approx(0.3)
    assert row["accuracy_sd"] == pytest.approx(0.07**0.5)  # (0.04 + 0.01 + 0.09) / 2
    assert row["accuracy_ci_low"] == pytest.approx(0.2)
    assert row["accuracy_ci_high"] == pytest.approx(0.5)
    assert (row["runs"], row["done"], row["failed"], row["missing"]) == (3, 3, 0, 0)
    assert (row["params"], row["macs"], row["n_images"]) == (7, 9, 10)


def test_one_seed_has_no_sd(make_run, tmp_path):
    make_run()
    [row] = summarise(collect([tmp_path])).to_dict("records")
    assert row["accuracy"] == 0.5
    assert np.isnan(row["accuracy_sd"])


def test_a_metric_that_one_seed_lacks_is_empty(make_run, of, tmp_path):
    make_run(of(accuracy=0.5, correct_consistency=0.5), seed=0)
    make_run(of(accuracy=0.5, correct_consistency=float("nan")), seed=1)
    [row] = summarise(collect([tmp_path])).to_dict("records")
    assert np.isnan([row["correct_consistency"], row["correct_consistency_sd"]]).all()
    assert row["accuracy"] == 0.5


def test_the_columns_are_in_order(make_run, tmp_path):
    names = list(METRICS)
    make_run({"circular": dict.fromkeys(names, 0.5)})
    columns = list(summarise(collect([tmp_path])).columns)
    assert tuple(columns[: len(SUMMARY_COLUMNS)]) == SUMMARY_COLUMNS
    rest = [*FIRST, *(name for name in names if name not in FIRST)]
    assert columns[len(SUMMARY_COLUMNS) :] == metric_columns(rest)


def test_a_row_for_every_configuration_and_protocol(make_run, tmp_path):
    both = {"circular": {"accuracy": 0.5}, "translate": {"accuracy": 0.25}}
    for pool in ("max", "blur"):
        make_run(both, pool=pool)
    rows = summarise(collect([tmp_path]))
    assert list(zip(rows["pool"], rows["protocol"], rows["accuracy"], strict=True)) == [
        ("blur", "circular", 0.5), ("blur", "translate", 0.25),
        ("max", "circular", 0.5), ("max", "translate", 0.25),
    ]  # fmt: skip


def test_what_failed_is_counted_and_has_a_row(make_run, tmp_path):
    make_run(pool="max", seed=0)
    make_run(pool="max", seed=1, error="no memory")
    make_run(pool="blur", error="no memory")
    damaged = make_run(pool="aps")
    (damaged / "metrics.csv").write_text("")
    running = make_run(pool="avg")
    (running / "status.json").write_text(json.dumps({"state": "interrupted"}))
    rows = summarise(collect([tmp_path])).set_index("pool")
    counts = ["runs", "done", "failed", "stopped", "missing"]
    assert rows.loc["max", counts].tolist() == [2, 1, 1, 0, 0]
    for pool in ("blur", "aps", "avg"):
        assert rows.loc[pool, counts].tolist() == (
            [1, 0, 0, 1, 0] if pool == "avg" else [1, 0, 1, 0, 0]
        )
        assert rows.loc[pool, "protocol"] == ""
        assert np.isnan(rows.loc[pool, "accuracy"])


def test_what_waits_is_missing_in_its_configuration_or_in_a_row_of_its_own(make_run, tmp_path):
    largest = make_run(pool="max")
    jobs = [("data.size=16", f"pool={pool}", f"seed={seed}")
            for pool in ("aps", "max", "blur[filter_size=5]") for seed in (0, 1)]  # fmt: skip
    jobs.append(("data.size=16", "pool=max", "train.lr=7", "seed=0"))
    sweep = Sweep.start(tmp_path / "out" / "sweeps" / "s", tmp_path / "out" / "runs", jobs)
    sweep.put(jobs[2], state=DONE, run_id=largest.name)
    sweep.put(jobs[4], state=FAILED, error="no")
    rows = summarise(collect([sweep.folder]))
    counts = ["pool", "settings", "runs", "done", "failed", "missing"]
    assert rows[counts].to_numpy().tolist() == [
        ["aps", "", 2, 0, 0, 2],
        ["max", "", 2, 1, 0, 1],
        ["blur[filter_size=5]", "", 2, 0, 1, 1],
        ["max", "train.lr=7", 1, 0, 0, 1],
    ]
    assert (rows["config_id"] != "").tolist() == [False, True, False, False]


def test_settings_name_what_no_label_tells(make_run, tmp_path):
    def settings(steps, pool, lr):
        return {"shift": {"circular": {"steps": steps}}, "measure": {"engine": "auto"},
                "pool": {"_target_": pool, "filter_size": 3}, "train": {"lr": lr}}  # fmt: skip

    make_run(pool="blur", settings=settings(2, "a", 1))
    make_run(pool="blur", settings=settings(4, "a", 1))
    make_run(pool="max", settings=settings(4, "b", 1))
    make_run(pool="max", settings=settings(4, "b", 2))  # same label, other learning rate
    rows = summarise(collect([tmp_path]))
    found = sorted(zip(rows["pool"], rows["settings"], strict=True))
    assert found == [
        ("blur", "shift.circular.steps=2 train.lr=1"),
        ("blur", "shift.circular.steps=4 train.lr=1"),
        ("max", "shift.circular.steps=4 train.lr=1"),
        ("max", "shift.circular.steps=4 train.lr=2"),
    ]


def test_two_configurations_of_different_protocols_are_told_apart(make_run, tmp_path):
    make_run(settings={"shift": {"circular": {"steps": 1}}})
    make_run(settings={"shift": {"circular": {"steps": 1}, "crop": {"steps": 1}}})
    assert sorted(summarise(collect([tmp_path]))["settings"]) == [
        "shift=circular", "shift=circular,crop",
    ]  # fmt: skip


def test_rows_follow_the_sweep(make_run, tmp_path):
    folders = [make_run(pool=pool) for pool in ("stride", "max", "blur")]
    jobs = [(f"pool={pool}",) for pool in ("stride", "max", "blur")]
    sweep = Sweep.start(tmp_path / "out" / "sweeps" / "s", tmp_path / "out" / "runs", jobs)
    for job, folder in zip(jobs, folders, strict=True):
        sweep.put(job, state=DONE, run_id=folder.name)
    assert summarise(collect([sweep.folder]))["pool"].tolist() == ["stride", "max", "blur"]


def test_a_run_with_a_damaged_identity_keeps_its_row(make_run, tmp_path):
    folder = make_run()
    (folder / "run.json").write_text("")
    [row] = summarise(collect([tmp_path])).to_dict("records")
    assert row["settings"] == folder.name
    assert row["failed"] == 1


def test_two_places_count_once(make_run, tmp_path):
    folder = make_run()
    shutil.copytree(folder, tmp_path / "again" / folder.name)
    assert summarise(collect([tmp_path]))["runs"].tolist() == [1]


VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=6)


@given(st.lists(VALUES, min_size=1, max_size=4))
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_every_run_is_counted_once_and_the_mean_is_the_mean(study):
    runs, rows = [], []
    for number, values in enumerate(study):
        for seed, value in enumerate(values):
            labels = {**dict.fromkeys(LABELS, ""), "pool": f"p{number}", "seed": seed}
            run = RunRecord(f"{number}-{seed}", f"c{number}", None, labels, {}, "done")
            runs.append(run)
            rows.append({**dict.fromkeys(METRIC_COLUMNS, 0), "run_id": run.run_id, "value": value,
                         "metric": "accuracy", "protocol": "crop", "interval": "bca"})  # fmt: skip
    summary = summarise(Collection(runs, pd.DataFrame(rows), []))
    assert summary["done"].sum() == len(runs)
    for values, row in zip(study, summary.to_dict("records"), strict=True):
        assert row["accuracy"] == pytest.approx(statistics.fmean(values), abs=1e-12)
        if len(values) > 1:
            assert row["accuracy_sd"] == pytest.approx(statistics.stdev(values), abs=1e-9)
