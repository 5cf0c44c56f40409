"""Worker processes of one sweep: what they did and what they wrote."""

import os

import pytest

from shiftbench.runs.sweep_state import Sweep

VARIABLES = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "80"}
JOBLIB = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")


def sweep_of(folder):
    [path] = (folder / "outputs" / "sweeps").iterdir()
    return Sweep.load(path)


def times_computed(folder):
    """How often each run was trained and measured, by its log."""
    logs = [path.read_text() for path in folder.glob("outputs/runs/*/run.log")]
    return [(log.count("training took"), log.count("measuring took")) for log in logs]


def tables(folder):
    """The result files of a sweep and of its runs, as bytes."""
    sweep = sweep_of(folder)
    files = [sweep.folder / "results.csv", sweep.folder / "summary.csv"]
    files += [*sweep.runs.glob("*/metrics.csv"), *sweep.runs.glob("*/shifts.csv")]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


SLOW_JOBLIB = pytest.param(JOBLIB, marks=pytest.mark.slow, id="joblib")
