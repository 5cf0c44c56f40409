"""The result files of a sweep, and the arguments of sweeps that several tests run."""

import pandas as pd

DIVERGES = ("train.weight_decay=10", "train.epochs=4")  # in combination with train.lr=1000
ONE_THREAD = {"OMP_NUM_THREADS": "1"}
GRID = ("pool=max,stride", "seed=0,1")


def sweep_of(folder):
    [sweep] = (folder / "outputs" / "sweeps").iterdir()
    return sweep


def results_of(folder):
    """Every metric of every run, independent of the order in which the jobs ended."""
    frame = pd.read_csv(sweep_of(folder) / "results.csv", keep_default_na=False)
    return frame.sort_values(["run_id", "protocol", "metric"]).reset_index(drop=True)
