"""Run folders whose numbers are chosen by the tests."""

import hashlib
import json

import numpy as np
import pandas as pd
import pytest

from shiftbench.metric.influence import Influences
from shiftbench.runs import results_versions
from shiftbench.settings.schema import flatten
from shiftbench.settings.slugs import short_hash
from shiftbench.storage.result_files import METRIC_COLUMNS, SCHEMA_VERSION, SHIFT_COLUMNS, write_csv

LABELS = {
    "experiment": "", "data": "shapes", "model": "vgg", "pool": "max", "head": "flatten",
    "padding": "zeros", "augment": "none", "train": "quick", "precision": "fp32",
}  # fmt: skip
HOSTILE = {
    "image.origin": "lower", "image.interpolation": "bicubic", "image.aspect": "auto",
    "text.usetex": True, "text.antialiased": False, "font.family": "serif",
    "font.serif": ["A font that nobody has"], "font.size": 23, "axes.facecolor": "red",
    "axes.grid": True, "axes.unicode_minus": False, "axes.spines.left": False, "axes.xmargin": 0.4,
    "figure.facecolor": "green", "figure.dpi": 50, "figure.autolayout": True,
    "savefig.dpi": 33, "savefig.bbox": "tight", "savefig.transparent": True,
    "savefig.pad_inches": 2, "savefig.format": "pdf", "lines.linewidth": 9, "lines.marker": "x",
    "xtick.labelsize": 30, "ytick.left": False, "path.sketch": (10, 20, 2), "patch.linewidth": 7,
    "errorbar.capsize": 9, "scatter.marker": "s", "axes.titlelocation": "right",
}  # fmt: skip
GROUPS = ("data", "model", "pool", "augment", "train")


@pytest.fixture
def hostile():
    """User settings of matplotlib that would distort figures or cause errors."""
    return HOSTILE


@pytest.fixture
def of():
    """Return a function that makes metrics of one protocol: ``of(accuracy=0.5)``."""
    return lambda **values: {"circular": values}


@pytest.fixture
def make_run(tmp_path):
    """Return a function that creates run folders, ``<out>/runs/<id>``."""

    def make(metrics=None, *, out=tmp_path / "out", seed=0, settings=None, error=None, tables=None,
             images=None, shown="test", **labels):  # fmt: skip
        """Create a run folder.

        ``images`` has one number per image, by protocol and metric; the metric is their mean.
        ``shown`` is the digest of these images.
        """
        labels = {**LABELS, **labels}
        found = _settings(labels, settings or {})
        config_id = short_hash(json.dumps(found, sort_keys=True))
        run_id = "-".join([*filter(None, labels.values()), f"s{seed}", config_id])
        folder = out / "runs" / run_id
        folder.mkdir(parents=True)
        identity = {"run_id": run_id, "config_id": config_id, "labels": {**labels, "seed": seed},
                    "settings": {**found, "seed": seed},
                    "versions": results_versions.current(found)}  # fmt: skip
        (folder / "run.json").write_text(json.dumps(identity))
        made_with = {"command": ["shiftbench", f"seed={seed}"], "shiftbench": "0",
                     "python": "3.11.0", "packages": {"torch": "2"}}  # fmt: skip
        (folder / "provenance.json").write_text(json.dumps(made_with))
        if error:
            (folder / "status.json").write_text(json.dumps({"state": "failed", "error": error}))
            return folder
        if images is not None:
            metrics = {protocol: {name: float(np.mean(numbers)) for name, numbers in found.items()}
                       for protocol, found in images.items()}  # fmt: skip
        metrics = (
            {"circular": {"accuracy": 0.5, "consistency": 0.75}} if metrics is None else metrics
        )
        _write_results(folder, {**labels, "run_id": run_id, "seed": seed}, metrics)
        if images is not None:
            _influences(images, shown).save(folder / "images.npz")
        for protocol, table in (tables or {}).items():
            table.save(folder / "predictions" / f"{protocol}.npz")
        return folder

    return make


def _influences(images, shown):
    numbers = {
        (protocol, name): np.asarray(found, float)
        for protocol, metrics in images.items() for name, found in metrics.items()
    }  # fmt: skip
    return Influences(
        dict.fromkeys(images, shown),
        {key: float(found.mean()) for key, found in numbers.items()},
        {key: found - found.mean() for key, found in numbers.items()},
    )


def _settings(labels, settings):
    """The flattened settings of a run, without the model's own head."""
    nested = {group: {"_target_": labels[group]} for group in GROUPS}
    nested |= {"padding": labels["padding"], "precision": labels["precision"]}
    nested |= {"shift": {"circular": {"steps": 8}}, **settings}
    return dict(flatten(nested))


def _write_results(folder, labels, metrics):
    rows = []
    for protocol, values in metrics.items():
        for name, value in values.items():
            value, low, high, *kinds = value if isinstance(value, tuple) else (value, value, value)
            kind = kinds[0] if kinds else "bca"
            rows.append({
                **labels, "params": 7, "macs": 9, "protocol": protocol, "metric": name,
                "value": value, "ci_low": low, "ci_high": high, "interval": kind, "n_images": 10,
                "n_shifts": 4, "engine": "direct", "schema_version": SCHEMA_VERSION,
            })  # fmt: skip
    write_csv(pd.DataFrame(rows), folder / "metrics.csv", METRIC_COLUMNS)
    shifts = [
        {"run_id": labels["run_id"], "protocol": "circular", "dy": dy, "dx": dx, "accuracy": 0.5,
         "agreement": 0.5, "mean_absolute_change": 0.1, "n_images": 10}
        for dy in (0, 1) for dx in (0, 1)
    ]  # fmt: skip
    write_csv(pd.DataFrame(shifts), folder / "shifts.csv", SHIFT_COLUMNS)
    files = {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in ("metrics.csv", "shifts.csv")
    }
    status = {"state": "done", "seconds": 1.5, "time": "2026-01-01T00:00:00+00:00", "files": files}
    (folder / "status.json").write_text(json.dumps(status))
