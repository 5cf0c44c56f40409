"""What every test may use."""

import contextlib
import logging
import os
import subprocess
import sys

import pandas as pd
import pytest
from fork_server import ForkServer, needs_fresh_interpreter
from omegaconf import OmegaConf

from shiftbench.errors import ShiftbenchError
from shiftbench.runs.run import Run
from shiftbench.settings.labels import Names
from shiftbench.storage.result_files import METRIC_COLUMNS, SCHEMA_VERSION, SHIFT_COLUMNS, write_csv

os.environ["HYDRA_FULL_ERROR"] = "0"
if "PYTEST_XDIST_WORKER" in os.environ:  # several processes share the cores
    os.environ.setdefault("OMP_NUM_THREADS", "1")


# Command lines run on the CPU wherever there is a GPU: known answers hold to the last bit there.
ON_CPU = {"COLUMNS": "80", "CUDA_VISIBLE_DEVICES": ""}
VARIABLES = {**os.environ, **ON_CPU}


@pytest.fixture(scope="session")
def fork_server():
    """A process whose forks run command lines, see ``fork_server.py``."""
    server = ForkServer(VARIABLES)
    yield server
    server.close()


@pytest.fixture(scope="session")
def shiftbench_command(fork_server, tmp_path_factory):
    """Run the command line in a real process and return it finished."""

    def run(*arguments, cwd, env=None, timeout=240):
        command = [sys.executable, "-m", "shiftbench", *map(str, arguments)]
        variables = {**os.environ, **ON_CPU, **(env or {})}
        if not hasattr(os, "pidfd_open") or needs_fresh_interpreter(variables, VARIABLES):
            return subprocess.run(
                command, cwd=cwd, env=variables, capture_output=True, text=True, timeout=timeout
            )
        streams = [tmp_path_factory.getbasetemp() / name for name in ("stdout", "stderr")]
        for stream in streams:
            stream.write_bytes(b"")
        code = fork_server.run(command[3:], cwd, variables, streams, timeout)
        return subprocess.CompletedProcess(command, code, *(s.read_text("utf-8") for s in streams))

    return run


TINY = (
    "data.size=16",
    "data.train_images=120",
    "data.test_images=24",
    "model.width=4",
    "train.epochs=1",
    "train.batch_size=32",
    "shift.circular.draws=4",
    "shift.circular.steps=2",
    "shift.translate.max_shift=1",
    "measure.resamples=20",
    "measure.layers=false",
    "figures=false",
)


@pytest.fixture
def package_log(caplog, monkeypatch):
    """caplog with the messages of the package, whose logger a command in this process cuts off."""
    monkeypatch.setattr(logging.getLogger("shiftbench"), "propagate", True)
    caplog.set_level(logging.INFO, logger="shiftbench")
    return caplog


@pytest.fixture(scope="session")
def tiny():
    """Overrides that make a run take a second."""
    return TINY


LABELS = {"experiment": "", "data": "shapes", "model": "vgg", "head": "flatten",
          "augment": "none", "train": "quick"}  # fmt: skip


@pytest.fixture
def make_run(tmp_path):
    """Write a run folder with chosen numbers, by the package's own writers; return the folder.

    ``values`` is {protocol: {metric: value or (value, low, high)}}.
    """

    def make(values=None, *, pool="max", seed=0, error=None, out=None, padding="zeros",
             settings=None, tables=None, **labels):  # fmt: skip
        labels = {**LABELS, **labels}
        config = OmegaConf.create(
            {"pool": {"_target_": pool}, "padding": padding, "precision": "fp32", "seed": seed,
             "checkpoint": None, "out": str(out or tmp_path / "out"),
             "augment": {"_target_": labels["augment"]}, "data": {"_target_": labels["data"]},
             "model": {"_target_": labels["model"]}, **(settings or {})}
        )  # fmt: skip
        run = Run.of(config, Names(pool=pool, **labels))
        values = values or {"circular": {"accuracy": 0.5, "consistency": 0.5}}
        common = {"run_id": run.id, "pool": pool, "padding": padding, "seed": seed, "params": 7,
                  "macs": 9, "engine": "direct", "schema_version": SCHEMA_VERSION,
                  **{k: v for k, v in labels.items() if k != "train"}}  # fmt: skip
        with contextlib.suppress(ShiftbenchError), run.alone(), run.recording(config, []):
            if error:
                raise ShiftbenchError(error)
            for name, table in (tables or {}).items():
                table.save(run.folder / "predictions" / f"{name}.npz")
            write_csv(_metrics(values, common), run.folder / "metrics.csv", METRIC_COLUMNS)
            write_csv(_shifts(run, values), run.folder / "shifts.csv", SHIFT_COLUMNS)
        return run.folder

    return make


def _metrics(values, common):
    rows = []
    for protocol, metrics in values.items():
        for name, value in metrics.items():
            value, low, high = value if isinstance(value, tuple) else (value, value, value)
            rows.append({**common, "protocol": protocol, "metric": name, "value": value,
                         "ci_low": low, "ci_high": high, "interval": "bca", "n_images": 10,
                         "n_shifts": 1 if name == "accuracy" else 4})  # fmt: skip
    return pd.DataFrame(rows)


def _shifts(run, values):
    rows = [{"run_id": run.id, "protocol": protocol, "dy": 0, "dx": dx, "accuracy": 0.5,
             "agreement": 1.0, "mean_absolute_change": 0.0, "n_images": 10}
            for protocol in values for dx in range(4)]  # fmt: skip
    return pd.DataFrame(rows)


@pytest.fixture
def of():
    """The metrics of a run under one protocol."""
    return lambda protocol="circular", **metrics: {protocol: metrics}
