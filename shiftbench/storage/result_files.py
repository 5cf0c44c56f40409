"""The result files: their columns, how they are written and read.

pandas is loaded when there is a frame to make: a command that only shows rows starts without it.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from shiftbench.errors import ShiftbenchError
from shiftbench.storage.atomic import write_text

if TYPE_CHECKING:
    import pandas as pd

Row = dict[str, str]

# 2: the column ``interval``. Files of earlier schemas are read, those of later ones refused.
SCHEMA_VERSION = 2

METRIC_COLUMNS = (
    "run_id", "experiment", "data", "model", "pool", "head", "padding", "augment", "seed",
    "params", "macs", "protocol", "metric", "value", "ci_low", "ci_high", "interval", "n_images",
    "n_shifts", "engine", "schema_version",
)  # fmt: skip
ADDED = {"interval": "percentile"}
"""Columns that files of schema 1 lack, and what their rows had."""
SHIFT_COLUMNS = (
    "run_id", "protocol", "dy", "dx", "scale", "angle", "accuracy", "agreement",
    "mean_absolute_change", "n_images",
)  # fmt: skip
TRAIN_COLUMNS = (
    "run_id", "epoch", "lr", "train_loss", "train_accuracy", "val_accuracy", "seconds",
    "images_per_second",
)  # fmt: skip
CLAIM_COLUMNS = (
    "claim", "source", "statement", "published", "measured", "measured_of", "ci_low", "ci_high",
    "verdict", "mean_verdict", "reason", "runs",
)  # fmt: skip
NETWORK_COLUMNS = ("claim", "network", "value", "ci_low", "ci_high")
LAYER_COLUMNS = (
    "run_id", "layer", "index", "kind", "stride", "dy", "dx", "equivariance_error",
    "cosine_distance", "invariance_error", "aliasing",
)  # fmt: skip


def write_csv(frame: pd.DataFrame, path: Path, columns: Sequence[str]) -> None:
    """Write the named columns, whole or not at all; floats with nine significant digits.

    Columns that the frame lacks are left empty. The same frame gives the same bytes.
    """
    write_text(path, csv_text(frame, columns))


def csv_text(frame: pd.DataFrame, columns: Sequence[str]) -> str:
    """Return the text of a result file; see :func:`write_csv`."""
    frame = frame.reindex(columns=list(columns))
    text: str = frame.to_csv(index=False, float_format="%.9g", lineterminator="\n")
    return text


def remove_own(path: Path, columns: Sequence[str]) -> None:
    """Remove a result file that has the header of these columns, now or of an earlier release.

    Earlier releases had fewer columns, in this order. A file by this name that is not ours stays.
    """
    try:
        with path.open(encoding="utf-8") as file:
            found = file.readline().rstrip("\n").split(",")
    except (OSError, ValueError):
        return
    if len(found) > 1 and found == [name for name in columns if name in found]:
        path.unlink(missing_ok=True)


def read_csv(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Read a result file and make sure that it has the columns.

    Raises:
        ShiftbenchError: If the file is missing, unreadable or of another schema.
    """
    import pandas as pd

    try:
        # "none" and "null" are names of options here, not missing values
        frame = pd.read_csv(path, keep_default_na=False, na_values=[""])
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    _require(path, columns, list(map(str, frame.columns)))
    if "schema_version" in frame:
        _require_schema(path, str(frame["schema_version"].max()))
    for name in missing_columns(columns, list(map(str, frame.columns))):
        frame[name] = frame["ci_low"].notna().map({True: ADDED[name], False: None})
    return frame


def read_rows(path: Path, columns: Sequence[str]) -> list[Row]:
    """Read a result file as it stands there, every value a string, without pandas.

    Raises:
        ShiftbenchError: As :func:`read_csv`.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    return parse_rows(text, path, columns)


def parse_rows(text: str, path: Path, columns: Sequence[str]) -> list[Row]:
    """Return the rows of a result file's text, by name of column, those of ``ADDED`` filled in.

    Raises:
        ShiftbenchError: As :func:`read_csv`.
    """
    try:
        reader = csv.DictReader(StringIO(text, newline=""), strict=True)
        rows: list[Row] = list(reader)
        if any(None in row or None in row.values() for row in rows):
            raise ValueError("a row has more or fewer fields than the header")
    except (ValueError, csv.Error) as error:
        raise _unreadable(path, error) from error
    found = list(reader.fieldnames or [])
    _require(path, columns, found)
    if rows and "schema_version" in found:
        _require_schema(path, rows[0]["schema_version"])
    filled = missing_columns(columns, found)
    return [row | {name: ADDED[name] if row["ci_low"] else "" for name in filled} for row in rows]


def missing_columns(columns: Sequence[str], found: Sequence[str]) -> list[str]:
    """Return those of ``columns`` that a file of an earlier schema lacks."""
    return [name for name in columns if name in ADDED and name not in found]


def as_text(rows: Sequence[Mapping[str, str]], columns: Sequence[str]) -> str:
    """Return the text of a result file without its header, from the fields of its rows."""
    file = StringIO(newline="")
    writer = csv.DictWriter(file, columns, lineterminator="\n", extrasaction="ignore")
    writer.writerows(rows)
    return file.getvalue()


def _unreadable(path: Path, error: Exception) -> ShiftbenchError:
    if isinstance(error, FileNotFoundError):
        return ShiftbenchError(f"no result file at {path}")
    return ShiftbenchError(f"{path} is not a readable CSV file ({error})")


def _require(path: Path, columns: Sequence[str], found: Sequence[str]) -> None:
    missing = [name for name in columns if name not in found and name not in ADDED]
    if missing:
        raise ShiftbenchError(f"{path} lacks the columns {', '.join(missing)}")


def _require_schema(path: Path, version: str) -> None:
    try:
        number = int(float(version))
    except ValueError:
        number = 0
    if not 0 < number <= SCHEMA_VERSION:
        raise ShiftbenchError(
            f"{path} has schema_version {version or 'none'}; this version of shiftbench reads 1 to "
            f"{SCHEMA_VERSION}; read it with the version that wrote it, or a later one"
        )
