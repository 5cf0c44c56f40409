"""Published findings in a report: which are judged, on what evidence, and how they are shown."""

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from rich.cells import cell_len
from rich.console import Console

from shiftbench.claims import CLAIMS, Finding, Judged, Network, claim_rows
from shiftbench.report.load.collect import Collection, RunRecord, collect
from shiftbench.report.load.published import claims_of, evidence_of, published_findings
from shiftbench.report.tables.claim_table import print_claims
from shiftbench.report.tables.claim_text import smoke_banner
from shiftbench.runs.sweep_state import Sweep
from shiftbench.storage.result_files import LAYER_COLUMNS, write_csv

TRAINED = {"train": {"epochs": 1}}


@pytest.fixture
def pools(make_run, of, tmp_path):
    """Two seeds each of max and stride and a failed run; returns their folder."""
    for pool, value in (("max", 0.8), ("stride", 0.6)):
        for seed in (0, 1):
            mean = value + 0.01 * seed * (pool == "max")
            values = of(consistency=(mean, mean - 0.01, mean + 0.02), wobble=0.1)
            make_run(values, pool=pool, seed=seed, settings=TRAINED)
    make_run(pool="aps", error="out of memory")
    return tmp_path / "out"


def sweep_of(out, claims):
    """Make the runs a sweep of an experiment with ``claims``, or of an older version if None."""
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
    assert (number.value, number.n_shifts) == (0.6, 4)
    assert (number.low, number.high) == pytest.approx((0.59, 0.62))
    assert ("circular", "wobble") not in run.numbers  # not used by any claim
    assert run.is_trained and run.settings["shift.circular.steps"] == 8
    shifts = evidence.shifts([run.run_id, "no such run"])
    assert set(shifts["run_id"]) == {run.run_id}
    assert evidence.layers([run.run_id]).empty  # measured without the layer probe


def test_layers_are_read_where_they_were_probed(make_run, tmp_path):
    probed, _ = make_run(), make_run(seed=1)
    row = dict.fromkeys(LAYER_COLUMNS, 1.0) | {"run_id": probed.name, "layer": "a", "kind": "b"}
    write_csv(pd.DataFrame([row]), probed / "layers.csv", LAYER_COLUMNS)
    evidence = evidence_of(collect([tmp_path]))
    rows = evidence.layers([run.run_id for run in evidence.runs])
    assert rows["run_id"].tolist() == [probed.name]


def test_runs_of_no_study_are_judged_where_all_claims_are_asked_for(pools):
    collection = collect([pools])
    assert published_findings(collection) == []
    every = published_findings(collection, every=True)
    assert [one.claim.key for one in every] == list(CLAIMS)
    assert [one.verdict for one in every].count("not run") == len(CLAIMS) - 1


def test_an_experiment_says_which_claims(pools):
    folder = sweep_of(pools, "[S3, Z1]")
    collection = collect([folder])
    assert claims_of(collection.sweeps) == ["S3", "Z1"]
    found = published_findings(collection)
    verdicts = {one.claim.key: one.verdict for one in found}
    assert verdicts == {"Z1": "not run", "S3": "reproduced"}
    assert len(published_findings(collection, every=True)) == len(CLAIMS)


def test_an_experiment_names_claims_by_key_and_by_slug(pools):
    folder = sweep_of(pools, "[stride_keeps_less_invariance, Z1, S3]")
    assert claims_of([folder]) == ["S3", "Z1"]


def test_claims_that_none_of_the_runs_decides_are_left_out(pools):
    collection = collect([sweep_of(pools, "[Z1]")])
    assert published_findings(collection) == []


@pytest.mark.parametrize("claims", [None, "[]", "null", "text", "{a: b}", "[S3"])
def test_a_sweep_that_names_none(pools, claims):
    collection = collect([sweep_of(pools, claims)])
    assert claims_of(collection.sweeps) == []
    assert published_findings(collection) == []


def test_a_study_whose_networks_are_near_chance_says_so(make_run, of, tmp_path, capsys):
    for pool in ("max", "stride"):
        values = of(consistency=0.9, accuracy=0.11, chance_consistency=0.1)
        make_run(values, pool=pool, settings=TRAINED)
    judged = published_findings(collect([sweep_of(tmp_path / "out", "[S3, Z1]")]))
    assert {one.claim.key: one.near_chance for one in judged} == {"Z1": 0, "S3": 2}
    print_claims(Console(width=80), judged)
    [row] = [row for row in capsys.readouterr().out.splitlines() if row.strip().startswith("S3")]
    assert "near chance" in row and "not run" in row


def test_a_name_that_is_none_is_said_and_left_out(pools, caplog):
    assert claims_of([sweep_of(pools, "[S3, S33]")]) == ["S3"]
    assert "S33, which is not a claim" in caplog.text


def test_the_table_fits_a_terminal(pools, capsys):
    judged = published_findings(collect([pools]), every=True)
    print_claims(Console(width=80), judged)
    text = capsys.readouterr().out
    assert max(map(cell_len, text.splitlines())) <= 80
    assert f"1 reproduced, {len(CLAIMS) - 1} not run" in text
    assert "0.205" in text
    print_claims(Console(width=80), [], "a banner")
    assert capsys.readouterr().out == ""


def on_networks(name, count, value=-0.012):
    """A claim on every network that is reproduced for the mean only."""
    least = Network(name, value, -0.5, 0.25)
    found = Finding("inconclusive", 0.054, 0.035, 0.142, "because", (), None,
                    f"mean over {count} networks", (least,) * count, "reproduced", 0.0,
                    least)  # fmt: skip
    return Judged(CLAIMS["S3"], found)


def test_the_terminal_says_what_the_number_is_of(capsys):
    print_claims(Console(width=80), [on_networks("flatten · shift", 9)])
    text = capsys.readouterr().out
    assert "mean over 9 networks" in text
    assert "0.054" in text and "[0.035 0.142]" in text
    words = " ".join(row[5:28].strip() for row in text.splitlines())
    assert "least certain: flatten · shift −0.012 [−0.500 0.250]" in " ".join(words.split())
    assert "of the mean:" in text and text.count("reproduced") == 1


@pytest.mark.parametrize("count", [2, 40])
@pytest.mark.parametrize("name", ["", "gap", "resnet[depth=18,width=64] · flatten", "x" * 70])
def test_names_of_any_length_fit_a_terminal(name, count, capsys):
    print_claims(Console(width=80), [on_networks(name, count, -123.456)])
    text = capsys.readouterr().out
    assert max(map(cell_len, text.splitlines())) <= 80
    assert f"mean over {count} networks" in text


def test_smoke_runs_are_said_above_the_table(pools, capsys):
    collection = collect([pools])
    assert smoke_banner(collection) == ""
    for run in collection.runs[:2]:
        content = json.loads((run.folder / "run.json").read_text())
        (run.folder / "run.json").write_text(json.dumps({**content, "smoke": True}))
    collection = collect([pools])
    done = [run for run in collection.runs if run.state == "done"]
    smoke = sum(run.smoke for run in done)
    assert len(done) == 4 and smoke
    meaning = "they show that the commands work, not what networks do"
    assert smoke_banner(collection) == f"{smoke} of 4 are smoke runs: {meaning}"
    assert {run.run_id for run in evidence_of(collection).runs if run.smoke} == {
        run.run_id for run in done if run.smoke
    }
    judged = published_findings(collection, every=True)
    print_claims(Console(width=80), judged, smoke_banner(collection))
    text = " ".join(capsys.readouterr().out.split())
    assert text.index(meaning) < text.index("Published findings")
    [row] = [one for one in claim_rows(judged).to_dict("records") if one["claim"] == "S3"]
    assert f"smoke runs ({smoke}): {meaning}" in row["reason"]


def test_where_all_are_smoke_runs_it_says_so():
    empty = pd.DataFrame()
    runs = [RunRecord(name, name, Path(name), {}, {}, "done", smoke=True) for name in "ab"]
    assert smoke_banner(Collection(runs, empty, [])).startswith("Smoke runs: they show")
    failed = [replace(run, state="failed") for run in runs]
    assert smoke_banner(Collection(failed, empty, [])) == ""
