"""An artificial study for figures and page, with numbers that are easy to verify."""

import numpy as np
import pandas as pd
import pytest

from shiftbench.report.load.records import Collection, RunRecord, WaitingJob
from shiftbench.report.tables.summary import summarise
from shiftbench.storage.result_files import METRIC_COLUMNS, SHIFT_COLUMNS

HOSTILE = "<script>alert('x')</script> & \"quotes\" $x_1^$ 🙂"
CONSISTENCY = {"max": 0.6, "blur": 0.8, "aps": 0.95}
ACCURACY = {"max": 0.7, "blur": 0.9, "aps": 0.85}


class Study:
    """Runs of pools × augmentations × seeds under two protocols."""

    def __init__(self, folder, pools=("max", "blur", "aps"), augments=("none", "crop"), seeds=2):
        self.folder = folder
        self.runs, self.metrics, self.shift_rows, self.waiting = [], [], [], []
        for pool in pools:
            for augment in augments:
                for seed in range(seeds):
                    self.add(pool, augment, seed)

    def add(self, pool, augment, seed, state="done", error="", command=("shiftbench", "-m")):
        """Add a run, with metrics and shifts if it is finished."""
        run_id = f"shapes-vgg-{len(self.runs)}-s{seed}"
        labels = {
            "experiment": "", "data": "shapes", "model": "vgg", "pool": pool, "head": "gap",
            "padding": "zeros", "augment": augment, "train": "quick", "precision": "fp32",
            "seed": seed,
        }  # fmt: skip
        target = "shiftbench.shift.circular.Circular"
        folder = self.folder / "runs" / run_id
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "overrides").write_text(f"pool={pool}\naugment={augment}\nseed={seed}\n")
        (folder / "provenance.json").write_text('{"commit": "abc123", "machine": {"os": "Linux"}}')
        self.runs.append(RunRecord(
            run_id=run_id, config_id=f"{abs(hash((pool, augment))):08x}"[:8], folder=folder,
            labels=labels, settings={"shift.circular._target_": target, "data.size": 8},
            state=state, error=error, command=tuple(command),
            versions={"shiftbench": "9.9.9", "torch": "2.99.0"}, seconds=12.5,
            time="2026-01-01T00:00:00+00:00", order=len(self.runs),
        ))  # fmt: skip
        if state == "done":
            for protocol in ("circular", "translate"):
                self._measure(run_id, labels, protocol)

    def _measure(self, run_id, labels, protocol):
        consistency = CONSISTENCY.get(labels["pool"], 0.5) + 0.01 * labels["seed"]
        consistency += 0.02 * (labels["augment"] != "none")
        values = {
            "accuracy": ACCURACY.get(labels["pool"], 0.5), "consistency": consistency,
            "correct_consistency": consistency - 0.1, "chance_consistency": 0.125,
            "shift_accuracy": 0.5, "worst_accuracy": 0.1, "top1_change": 1 - consistency,
        }  # fmt: skip
        for name, value in values.items():
            row = {**labels, "run_id": run_id, "params": 41_600, "macs": 623_000,
                   "protocol": protocol, "metric": name, "value": value, "ci_low": value - 0.02,
                   "ci_high": value + 0.02, "interval": "bca", "n_images": 1000, "n_shifts": 64,
                   "engine": "direct", "schema_version": 2}  # fmt: skip
            self.metrics.append(row)
        side = np.arange(-4.0, 4.0)
        dy, dx = (axis.ravel() for axis in np.meshgrid(side, side, indexing="ij"))
        agreement = np.where((dy == 0) & (dx == 0), 1.0, consistency)
        self.shift_rows.append(pd.DataFrame({
            "run_id": run_id, "protocol": protocol, "dy": dy, "dx": dx, "agreement": agreement,
            "accuracy": 0.5, "n_images": 1000,
        }))  # fmt: skip

    def wait(self, *overrides, state="waiting", error=""):
        """Add a job without a run."""
        self.waiting.append(WaitingJob(
            sweep=self.folder, overrides=overrides, state=state, error=error,
            distinguishing=tuple(item for item in overrides if not item.startswith("seed=")),
            order=len(self.runs),
        ))  # fmt: skip

    def collection(self):
        """The collection from which a report is made."""
        return Collection(
            self.runs, pd.DataFrame(self.metrics, columns=list(METRIC_COLUMNS)), self.waiting,
            read_shifts=self.shifts,
        )  # fmt: skip

    def shifts(self):
        """The rows of every shifts.csv."""
        if not self.shift_rows:
            return pd.DataFrame(columns=list(SHIFT_COLUMNS))
        return pd.concat(self.shift_rows, ignore_index=True).reindex(columns=list(SHIFT_COLUMNS))

    def summary(self):
        """One row per configuration and protocol."""
        return summarise(self.collection())

    def named_shifts(self):
        """The rows of every shifts.csv, with the configuration."""
        config_of = {run.run_id: run.config_id for run in self.runs}
        return self.shifts().assign(config_id=lambda rows: rows["run_id"].map(config_of))


@pytest.fixture
def study(tmp_path):
    """Three pools, two augmentations, two seeds and two protocols; all runs are done."""
    return Study(tmp_path)


@pytest.fixture
def make_study(tmp_path):
    """Return a function that makes other studies."""
    return lambda **wanted: Study(tmp_path, **wanted)


@pytest.fixture
def troubled(tmp_path):
    """A study with special characters in names and errors, and with failed and missing jobs."""
    study = Study(tmp_path, pools=("max", HOSTILE), seeds=1)
    error = f"out of memory: {HOSTILE}"
    study.add("aps", "none", 0, state="failed", error=error, command=["shiftbench", HOSTILE])
    study.add("max", "none", 1, state="interrupted", error="its process was killed")
    study.wait("pool=stride", "seed=0")
    study.wait(f"pool={HOSTILE}", "seed=7", state="failed", error="no such pool <b>")
    return study


@pytest.fixture(scope="session")
def make_module_study():
    """Return a function that makes studies for a page shared by several tests."""
    return Study
