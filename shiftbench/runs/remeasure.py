"""``shiftbench report --remeasure``: recomputes metrics from the prediction tables of runs.

Without a forward pass and without torch, results of earlier releases are updated to the current
definitions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shiftbench.errors import ShiftbenchError
from shiftbench.metric.influence import NAME, Influences
from shiftbench.metric.options import metrics_of_settings
from shiftbench.metric.result_rows import (
    curve_texts,
    metric_rows,
    phase_rows,
    radius_rows,
    shift_rows,
    shifts_of,
)
from shiftbench.prediction_table import PredictionTable
from shiftbench.runs import results_versions
from shiftbench.runs.provenance import now
from shiftbench.storage import result_files
from shiftbench.storage.atomic import write_text
from shiftbench.storage.interrupts import held_off
from shiftbench.storage.json_files import read_mapping, sorted_text, write_mapping
from shiftbench.storage.locks import exclusive, is_locked
from shiftbench.storage.result_files import METRICS_CSV, RESULTS, SHIFTS_CSV

RESAMPLES = 1000  # if the settings of a run do not define it
PENDING = "remeasuring"  # in status.json: digests of files that are about to be written
# The columns of metrics.csv that describe the run and not the measurement.
IDENTITY = result_files.METRIC_COLUMNS[: result_files.METRIC_COLUMNS.index("protocol")]


@dataclass(frozen=True)
class Remeasured:
    """The outcome of :func:`remeasure`.

    Attributes:
        changed: Folders of runs whose results have changed.
        same: Folders of runs whose results are unchanged; none of their files was written.
        left: Why runs were skipped, by folder.
    """

    changed: list[Path]
    same: list[Path]
    left: dict[Path, str]


def remeasure(folders: Iterable[Path]) -> Remeasured:
    """Update ``metrics.csv``, ``shifts.csv`` and the curves of finished runs, each file atomically.

    Runs that are unfinished or in progress, that lack a prediction table, or whose files were
    modified are skipped. An interrupted update is completed by the next call.
    """
    done = Remeasured([], [], {})
    for folder in folders:
        try:
            if is_locked(folder / ".lock"):  # waiting could take hours
                raise ShiftbenchError("another process works on it")
            with exclusive(folder / ".lock"):
                (done.changed if _remeasure(folder) else done.same).append(folder)
        except (ShiftbenchError, OSError) as reason:
            done.left[folder] = str(reason)
    return done


def _remeasure(folder: Path) -> bool:
    run, status = _content(folder / "run.json"), _content(folder / "status.json")
    rows = _rows(folder, status)
    tables = _tables(folder, str(run["run_id"]), dict.fromkeys(row["protocol"] for row in rows))
    identity = {**{name: rows[0][name] for name in IDENTITY},
                "schema_version": result_files.SCHEMA_VERSION}  # fmt: skip
    settings = dict(run.get("settings", {}))
    resamples = int(settings.get("measure.resamples", RESAMPLES))
    metrics = metrics_of_settings(settings)
    by_shift, name = shifts_of(tables), str(run["run_id"])
    shifts = shift_rows(by_shift, name)
    measured = metric_rows(tables, identity, resamples, metrics)
    texts = {
        SHIFTS_CSV: result_files.csv_text(
            shifts, result_files.in_order(result_files.SHIFT_COLUMNS, shifts.columns)
        ),
        METRICS_CSV: result_files.csv_text(measured, result_files.metric_columns(measured.columns)),
    }
    made = {**run.get("versions", {}), **results_versions.from_tables(settings)}
    images = Influences.from_tables(tables, metrics).save(folder / NAME)
    # Runs of earlier releases do not know the total stride of their network.
    phases = phase_rows(by_shift, name, int(run.get("total_stride", 1)))
    curves = curve_texts(radius_rows(tables, name, resamples), phases)
    results = _replace(folder, {**run, "versions": made}, status, texts)
    return _rewrite(folder, curves) or results or images


def _rewrite(folder: Path, texts: Mapping[str, str]) -> bool:
    """Write the files that differ; return whether any did."""
    changed = {
        name: text for name, text in texts.items()
        if not (folder / name).is_file() or (folder / name).read_text("utf-8") != text
    }  # fmt: skip
    for name, text in changed.items():
        write_text(folder / name, text)
    return bool(changed)


def _rows(folder: Path, status: Mapping[str, Any]) -> list[result_files.Row]:
    """Return the rows of the run after checking that its files are unmodified.

    Raises:
        ShiftbenchError: If they are modified, or the run is not finished.
    """
    if status.get("state") != "done":
        raise ShiftbenchError(f"it is not finished ({status.get('state')})")
    for name in RESULTS:
        known = [dict(status.get(key) or {}).get(name) for key in ("files", PENDING)]
        if any(known) and result_files.digest((folder / name).read_bytes()) not in known:
            raise ShiftbenchError(f"{name} was changed since the run wrote it")
    rows = result_files.read_rows(folder / METRICS_CSV, result_files.METRIC_COLUMNS)
    if not rows:
        raise ShiftbenchError(f"{METRICS_CSV} has no rows")
    allowed = result_files.metric_columns(rows[0])
    if unknown := [name for name in rows[0] if name not in allowed]:
        raise ShiftbenchError(
            f"{METRICS_CSV} has columns of another version of shiftbench ({', '.join(unknown)}); "
            "remeasure it with that version"
        )
    return rows


def _tables(folder: Path, run_id: str, protocols: Iterable[str]) -> dict[str, PredictionTable]:
    tables = {}
    for name in protocols:
        path = folder / "predictions" / f"{name}.npz"
        tables[name] = PredictionTable.load(path)
        whose = tables[name].meta.get("run_id", run_id)
        if whose != run_id:
            raise ShiftbenchError(f"{path} is a table of another run, {whose}")
    return tables


def _replace(
    folder: Path, run: Mapping[str, Any], status: Mapping[str, Any], texts: Mapping[str, str]
) -> bool:
    """Write the files that differ; return whether any did.

    ``status.json`` lists the digests of the new files before these are written and, at the end,
    instead of the old ones. If the process is killed in between, the run is recognised as being
    updated, and the next call completes it.
    """
    digests = {name: result_files.digest(text.encode()) for name, text in texts.items()}
    described = sorted_text(run)
    same = status.get("files") == digests and PENDING not in status
    if same and (folder / "run.json").read_text("utf-8") == described:
        return False
    final = {key: value for key, value in status.items() if key != PENDING}
    final |= {"files": digests, "remeasured": now()}
    with held_off():
        write_mapping(folder / "status.json", {**status, PENDING: digests})
        for name, text in texts.items():
            write_text(folder / name, text)
        write_text(folder / "run.json", described)
        write_mapping(folder / "status.json", final)
    return True


def _content(path: Path) -> dict[str, Any]:
    try:
        return read_mapping(path)
    except (OSError, ValueError) as error:
        raise ShiftbenchError(f"{path.name} cannot be read ({type(error).__name__})") from error
