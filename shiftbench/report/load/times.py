"""How long runs took per image, as they recorded it; no torch."""

from __future__ import annotations

import csv
import math
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shiftbench.report.load.records import RunRecord
from shiftbench.storage.json_files import read_mapping

DIRECT = "direct"


@dataclass(frozen=True)
class Times:
    """Milliseconds per image; NaN where nothing was recorded.

    Attributes:
        train: Of a training step, forward and backward: the median over the epochs.
        test: Of a view in testing, by the direct engine, the making of the view included.
        machine: What computed the run, '' if it was not recorded.
    """

    train: float = math.nan
    test: float = math.nan
    machine: str = ""


def times_of(run: RunRecord) -> Times:
    """Return the times of a finished run.

    A run that shares its training with others has the times of that training. Runs of releases that
    did not record how long measuring took have no ``test``, nor have runs that only the dense
    engine measured, as it never answers a single view.
    """
    made = _provenance(run.folder)
    return Times(_train(run.folder / "train.csv"), _test(made.get("measured")), _machine(made))


def mean_times(times: Iterable[Times]) -> Times:
    """Return the means over the runs of a configuration that recorded them."""
    listed = list(times)
    machines = " and ".join(dict.fromkeys(one.machine for one in listed if one.machine))
    return Times(_mean(one.train for one in listed), _mean(one.test for one in listed), machines)


def _mean(values: Iterable[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return math.fsum(known) / len(known) if known else math.nan


def _train(path: Path) -> float:
    """Return ms per image; the median is not moved by the first epoch, which warms up."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rates = [float(row["images_per_second"]) for row in csv.DictReader(file)]
    except (OSError, ValueError, KeyError, TypeError, csv.Error):
        return math.nan
    found = [1000 / rate for rate in rates if rate > 0]
    return statistics.median(found) if found else math.nan


def _test(measured: Any) -> float:
    """Return ms per view over all protocols that the direct engine measured."""
    try:
        parts = [part for part in measured.values() if part["engine"] == DIRECT]
        views = sum(int(part["views"]) for part in parts)
        return 1000 * sum(float(part["seconds"]) for part in parts) / views
    except (AttributeError, KeyError, TypeError, ValueError, ZeroDivisionError):
        return math.nan


def _machine(made: Mapping[str, Any]) -> str:
    """Return the GPU, or the processor of a run on a CPU."""
    device, machine = made.get("device"), made.get("machine")
    device = device if isinstance(device, dict) else {}
    machine = machine if isinstance(machine, dict) else {}
    if device.get("device") in (None, "cpu"):
        return str(machine.get("processor") or "")
    return str(device.get("GPU") or device["device"])


def _provenance(folder: Path) -> Mapping[str, Any]:
    try:
        return read_mapping(folder / "provenance.json")
    except (OSError, ValueError):
        return {}
