"""Measuring in another precision than training: runs of one training, through the command line."""

import json

import numpy as np
import pandas as pd
import pytest

from shiftbench.prediction_table import PredictionTable

TORUS = ("padding=circular", "head=gap", "shift=circular")


@pytest.fixture(scope="module")
def runs(tmp_path_factory, shiftbench_command, tiny):
    """Folders of runs by name, all of one network that was trained in bf16."""
    place = tmp_path_factory.mktemp("precisions")
    settings = [item for item in tiny if "translate" not in item]
    folders = {}

    def add(name, *more):
        done = shiftbench_command(*settings, *TORUS, *more, f"out={name}", cwd=place)
        assert done.returncode == 0, done.stderr
        [folders[name]] = (place / name / "runs").iterdir()
        return done

    add("trained", "precision=bf16")
    [weights] = (place / "trained" / "trained").glob("*/checkpoint.pt")
    add("single", "train.epochs=0", f"checkpoint={weights}")
    rounded = shiftbench_command(
        *settings, *TORUS, "precision=bf16", "measure.precision=bf16", "out=trained", cwd=place
    )
    assert rounded.returncode == 0, rounded.stderr
    [folders["rounded"]] = {*(place / "trained" / "runs").iterdir()} - {folders["trained"]}
    assert len(list((place / "trained" / "trained").iterdir())) == 1  # one training
    return folders


def table(folder):
    return PredictionTable.load(folder / "predictions" / "circular.npz")


@pytest.mark.slow
def test_a_network_trained_in_bf16_is_measured_in_single_precision(runs):
    """The answers are bit for bit those of its weights in a run that knows nothing of bf16."""
    own, single = table(runs["trained"]), table(runs["single"])
    for name in ("top1", "p_top1", "p_true", "logit_change"):
        assert np.array_equal(getattr(own, name), getattr(single, name))
    columns = ["protocol", "metric", "value", "ci_low", "ci_high"]
    files = [pd.read_csv(runs[name] / "metrics.csv") for name in ("trained", "single")]
    assert files[0][columns].equals(files[1][columns])


@pytest.mark.slow
def test_bf16_by_wish_rounds_and_keeps_the_dense_engine(runs):
    own, rounded = table(runs["trained"]), table(runs["rounded"])
    assert own.meta["engine"] == rounded.meta["engine"] == "dense"
    gap = np.abs(own.p_true - rounded.p_true).max()
    assert 1e-5 < gap < 0.05
    assert rounded.meta["logit_tolerance"] == 2.0**-7 > own.meta["logit_tolerance"]


@pytest.mark.slow
def test_provenance_names_both(runs):
    found = {
        name: [
            json.loads((folder / "provenance.json").read_text())[part]["precision"]
            for part in ("training", "measuring")
        ]
        for name, folder in runs.items()
    }
    assert found["trained"] == ["bf16", "fp32"]
    assert found["rounded"] == ["bf16", "bf16"]


@pytest.mark.slow
def test_a_table_distinguishes_them(runs, shiftbench_command):
    place = runs["trained"].parents[1]
    report = shiftbench_command("report", "--no-figures", str(place), cwd=place)
    assert report.returncode == 0, report.stderr
    [summary] = place.rglob("summary.csv")
    text = summary.read_text()
    assert "measure.precision=fp32" in text
    assert "measure.precision=bf16" in text
