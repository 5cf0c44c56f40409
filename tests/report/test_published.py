"""Published findings in a report: which are judged, by what, and how they are shown."""

import pandas as pd
import pytest
from rich.cells import cell_len
from rich.console import Console

from shiftbench.claims import CLAIMS
from shiftbench.report.claim_table import print_claims
from shiftbench.report.collect import collect
from shiftbench.report.published import claims_of, evidence_of, published_findings
from shiftbench.results import LAYER_COLUMNS, write_csv
from shiftbench.sweep import Sweep

TRAINED = {"train": {"epochs": 1}}


@pytest.fixture
def pools(make_run, of, tmp_path):
    """Max and stride, two seeds, and a failed run; return where they are."""
    for pool, value in (("max", 0.8), ("stride", 0.6)):
        for seed in (0, 1):
            values = of(consistency=(value + 0.01 * seed * (pool == "max"), 0.5, 0.9), wobble=0.1)
            make_run(values, pool=pool, seed=seed, settings=TRAINED)
    make_run(pool="aps", error="out of memory")
    return tmp_path / "out"


def sweep_of(out, claims):
    """Make the runs a sweep whose experiment names claims; None for a sweep of an older version."""
    runs = sorted((out / "runs").iterdir())
    jobs = [(f"run={run.name}",) for run in runs]
    sweep = Sweep.start(out / "sweeps" / "s", out / "runs", jobs)
    for job, run in zip(jobs, runs, strict=True):
        sweep.put(job, state="done", run_id=run.name)
    text = "seed: 0\n" if claims is None else f"study:\n  claims: {claims}\n"
    (sweep.folder / "multirun.yaml").write_text(text)
    return sweep.folder


def test_the_evidence_is_what_the_files_say(pools):
    evidence = evidence_of(collect([pools]))
    assert len(evidence.runs) == 4
    run = next(one for one in evidence.runs if one.pool == "stride")
    number = run.numbers["circular", "consistency"]
    assert (number.value, number.low, number.high, number.n_shifts) == (0.6, 0.5, 0.9, 4)
    assert ("circular", "wobble") not in run.numbers  # no claim reads it
    assert run.is_trained and run.settings["shift.circular.steps"] == 8
    shifts = evidence.shifts([run.run_id, "no such run"])
    assert set(shifts["run_id"]) == {run.run_id}
    assert evidence.layers([run.run_id]).empty  # it was not probed


def test_layers_are_read_where_they_were_probed(make_run, tmp_path):
    probed, _ = make_run(), make_run(seed=1)
    row = dict.fromkeys(LAYER_COLUMNS, 1.0) | {"run_id": probed.name, "layer": "a", "kind": "b"}
    write_csv(pd.DataFrame([row]), probed / "layers.csv", LAYER_COLUMNS)
    evidence = evidence_of(collect([tmp_path]))
    rows = evidence.layers([run.run_id for run in evidence.runs])
    assert rows["run_id"].tolist() == [probed.name]


def test_a_report_that_was_asked_for_judges_what_it_can(pools):
    collection = collect([pools])
    assert [one.claim.key for one in published_findings(collection, asked=True)] == ["S3"]
    assert published_findings(collection) == []  # a sweep whose experiment names none
    every = published_findings(collection, every=True)
    assert [one.claim.key for one in every] == list(CLAIMS)
    assert [one.verdict for one in every].count("not run") == len(CLAIMS) - 1


def test_an_experiment_says_which_claims(pools):
    folder = sweep_of(pools, "[S3, Z1]")
    collection = collect([folder])
    assert claims_of(collection.sweeps) == ["S3", "Z1"]
    for asked in (True, False):
        found = published_findings(collection, asked=asked)
        assert {one.claim.key: one.verdict for one in found} == {
            "Z1": "not run", "S3": "reproduced",
        }  # fmt: skip


def test_claims_that_none_of_the_runs_decides_are_left_out(pools):
    collection = collect([sweep_of(pools, "[Z1]")])
    assert published_findings(collection) == []
    assert published_findings(collection, asked=True) == []


@pytest.mark.parametrize("claims", [None, "[]", "null", "text", "{a: b}", "[S3"])
def test_a_sweep_that_names_none(pools, claims):
    collection = collect([sweep_of(pools, claims)])
    assert claims_of(collection.sweeps) == []
    assert [one.claim.key for one in published_findings(collection, asked=True)] == ["S3"]


def test_a_name_that_is_none_is_said_and_left_out(pools, caplog):
    assert claims_of([sweep_of(pools, "[S3, S33]")]) == ["S3"]
    assert "S33, which is no claim" in caplog.text


def test_the_table_fits_a_terminal(pools, capsys):
    judged = published_findings(collect([pools]), every=True)
    print_claims(Console(width=80), judged)
    text = capsys.readouterr().out
    assert max(map(cell_len, text.splitlines())) <= 80
    assert "1 reproduced, 23 not run" in text
    assert "0.205" in text
    print_claims(Console(width=80), [])
    assert capsys.readouterr().out == ""
