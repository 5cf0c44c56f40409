"""Reading of run folders: their state, and their rows, parsed in bulk for thousands of runs."""

from __future__ import annotations

import csv
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import StringIO
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd

from shiftbench.errors import ShiftbenchError
from shiftbench.metric.about import remember
from shiftbench.report.load.records import (
    BROKEN,
    DAMAGED,
    DONE,
    INTERRUPTED,
    LABELS,
    RUNNING,
    RunRecord,
)  # fmt: skip
from shiftbench.storage import result_files
from shiftbench.storage.json_files import read_mapping
from shiftbench.storage.locks import is_locked
from shiftbench.storage.result_files import LAYER_COLUMNS, METRIC_COLUMNS, SHIFT_COLUMNS

FILES_AT_ONCE = 100
TEXT = ("run_id", "experiment", "data", "model", "pool", "head", "padding", "augment", "protocol",
        "metric", "interval", "engine", "layer", "kind")  # fmt: skip
WHOLE = ("seed", "params", "macs", "n_images", "n_shifts", "schema_version")

log = logging.getLogger(__name__)


def read_run(folder: Path) -> RunRecord:
    """Read a run's identity and state; a damaged folder gives a record in state ``damaged``."""
    try:
        who = read_mapping(folder / "run.json")
        labels: dict[str, Any] = {name: str(who["labels"].get(name) or "") for name in LABELS}
        labels["seed"] = int(who["labels"]["seed"])
        about: dict[str, Any] = {"run_id": str(who["run_id"]), "config_id": str(who["config_id"])}
        settings = dict(who["settings"])
        results = {str(part): int(number) for part, number in who.get("versions", {}).items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        empty = dict.fromkeys(LABELS, "")
        reason = f"run.json is damaged ({type(error).__name__})"
        return RunRecord(folder.name, folder.name, folder, empty, {}, DAMAGED, reason)
    about["smoke"] = who.get("smoke") is True
    remember(who.get("metrics"))
    rest = {**about, "results": results, **_made_with(folder), **_state(folder)}
    return RunRecord(folder=folder, labels=labels, settings=settings, **rest)


def _state(folder: Path) -> dict[str, Any]:
    try:
        status = read_mapping(folder / "status.json")
        state = str(status["state"])
    except FileNotFoundError:
        # Written right after run.json: the process was killed in between, or is still running.
        status, state = {}, RUNNING
    except (OSError, ValueError, KeyError, TypeError) as error:
        return {"state": DAMAGED, "error": f"status.json is damaged ({type(error).__name__})"}
    if state == RUNNING and not is_locked(folder / ".lock"):
        return {"state": INTERRUPTED, "error": "its process was killed"}
    if state not in (DONE, RUNNING, INTERRUPTED, *BROKEN):
        return {"state": DAMAGED, "error": f"status.json says {state!r}, which is not a state"}
    return {
        "state": state, "error": str(status.get("error") or ""), "seconds": status.get("seconds"),
        "time": str(status.get("time") or ""), "files": dict(status.get("files") or {}),
    }  # fmt: skip


def _made_with(folder: Path) -> dict[str, Any]:
    try:
        content = read_mapping(folder / "provenance.json")
        versions = {"shiftbench": content.get("shiftbench"), "python": content.get("python"),
                    **content.get("packages", {})}  # fmt: skip
        command = tuple(str(item) for item in content.get("command", ()))
    except (OSError, ValueError, TypeError, AttributeError):
        return {}  # optional: no number depends on it
    versions = {name: str(version) for name, version in versions.items() if version}
    return {"command": command, "versions": versions, "commit": str(content.get("commit") or "")}


@dataclass(frozen=True)
class Text:
    """The text of a result file.

    Attributes:
        header: Column names in the order of the file.
        rows: The text below the header.
    """

    header: tuple[str, ...]
    rows: str


def read_metrics(runs: Sequence[RunRecord]) -> tuple[pd.DataFrame, list[RunRecord]]:
    """Read ``metrics.csv`` of the finished runs.

    Returns:
        The rows of undamaged files, and all runs, with state ``damaged`` where a file is not.
        Columns that only some files have are kept, empty in the rows of the others.
    """
    texts, checked = [], []
    for run in runs:
        if run.state == DONE:
            try:
                texts.append(_text(run, result_files.METRICS_CSV, METRIC_COLUMNS))
            except ValueError as reason:
                run = replace(run, state=DAMAGED, error=str(reason))
        checked.append(run)
    return _parse(texts, METRIC_COLUMNS), checked


def read_shifts(runs: Sequence[RunRecord]) -> pd.DataFrame:
    """Read ``shifts.csv`` of finished ``runs``; a damaged file is left out with a warning."""
    return _read(runs, result_files.SHIFTS_CSV, SHIFT_COLUMNS)


def read_layers(runs: Sequence[RunRecord]) -> pd.DataFrame:
    """Read ``layers.csv`` of those of the finished ``runs`` that were probed."""
    probed = [run for run in runs if (run.folder / "layers.csv").is_file()]
    return _read(probed, "layers.csv", LAYER_COLUMNS)


def _read(runs: Sequence[RunRecord], name: str, columns: Sequence[str]) -> pd.DataFrame:
    parts = []
    for start in range(0, len(runs), FILES_AT_ONCE):
        texts = []
        for run in runs[start : start + FILES_AT_ONCE]:
            try:
                texts.append(_text(run, name, columns))
            except ValueError as reason:
                log.warning("%s: %s", run.folder, reason)
        parts.append(_parse(texts, columns))
    return _joined(parts, columns) if parts else _parse([], columns)


def _text(run: RunRecord, name: str, columns: Sequence[str]) -> Text:
    """Return a result file after checking its required columns; further columns are allowed.

    Raises:
        ValueError: With the reason why the file cannot be used.
    """
    try:
        content = (run.folder / name).read_bytes()
    except OSError as error:
        raise ValueError(f"{name} cannot be read ({error.strerror})") from error
    written = run.files.get(name)
    if written is not None and result_files.digest(content) != written:
        raise ValueError(f"{name} was changed since the run wrote it")
    header, _, rows = content.decode("utf-8", "replace").partition("\n")
    text = Text(tuple(next(csv.reader([header]), ())), rows)
    try:
        result_files.require_columns(Path(name), columns, text.header)
        result_files.require_schema(Path(name), _schema_of(text))
    except ShiftbenchError as error:
        raise ValueError(str(error)) from error
    if written is None:
        _check(text, name, columns)
    return text


def _schema_of(text: Text) -> list[str]:
    """Return the schema in the first row, [] if it has none; all rows of a run share one schema."""
    if not text.rows or "schema_version" not in text.header:
        return []
    try:
        first = next(csv.reader([text.rows.partition("\n")[0]], strict=True))
        return [first[text.header.index("schema_version")]]
    except (csv.Error, IndexError):
        return [""]


def _check(text: Text, name: str, columns: Sequence[str]) -> None:
    """Raise unless the rows are complete, for files without a recorded digest."""
    try:
        count = len(_parse([text], columns))
        whole = text.rows.endswith("\n") and count == text.rows.count("\n")
    except (ValueError, TypeError):
        whole = False
    if not whole:
        raise ValueError(f"{name} is damaged: its rows cannot be read")


def _parse(texts: Sequence[Text], columns: Sequence[str]) -> pd.DataFrame:
    """Return the rows of many files; consecutive files with equal columns are parsed in one call.

    One call per file would dominate the run time of a report.
    """
    alike = groupby(texts, key=lambda text: text.header)
    parts = [_frame(header, [text.rows for text in group], columns) for header, group in alike]
    return _joined(parts or [_frame(columns, [], columns)], columns)


def _frame(header: Sequence[str], rows: Sequence[str], columns: Sequence[str]) -> pd.DataFrame:
    """Return the rows of files with one header; unknown columns get inferred types."""
    known = [name for name in header if name in columns]
    types: dict[str, Any] = {name: str if name in TEXT else float for name in known}
    types |= {name: int for name in known if name in WHOLE}
    # "none" and "null" are names of options, not missing values
    frame = pd.read_csv(
        StringIO("".join(rows)), names=list(header), header=None, dtype=types,
        keep_default_na=False, na_values=[""], index_col=False,
    )  # fmt: skip
    frame = result_files.completed(frame, columns)
    text = [name for name in columns if name in TEXT]
    frame[text] = frame[text].fillna("")
    return frame[result_files.in_order(columns, header)]


def _joined(parts: Sequence[pd.DataFrame], columns: Sequence[str]) -> pd.DataFrame:
    """Return the rows of all parts; columns beyond ``columns`` that only some have are kept."""
    if len(parts) == 1:
        return parts[0]
    order = list(columns)
    for part in parts:
        order = result_files.in_order(order, part.columns)
    return pd.concat(parts, ignore_index=True)[order]
