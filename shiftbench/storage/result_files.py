"""The result files: their columns, writing and reading.

Readers find columns by name. A column that is added to one of the tuples below is optional in files
that were written before, and additional columns of a file are kept; only ``REQUIRED`` columns must
exist.

pandas is imported only when a frame is created: a command that only prints rows starts without it.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Sequence
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shiftbench.errors import ShiftbenchError
from shiftbench.storage.atomic import write_text

if TYPE_CHECKING:
    import pandas as pd

Row = dict[str, str]

METRICS_CSV, SHIFTS_CSV = "metrics.csv", "shifts.csv"
RESULTS = (METRICS_CSV, SHIFTS_CSV)
"""The files of a run whose digests are in its ``status.json``."""

# 2: the column ``interval``. Incremented when the meaning of a column changes, not when a column is
# added. Files of earlier schemas are read, those of later ones are refused.
SCHEMA_VERSION = 2

METRIC_COLUMNS = (
    "run_id", "experiment", "data", "model", "pool", "head", "padding", "augment", "seed",
    "params", "macs", "protocol", "metric", "value", "ci_low", "ci_high", "interval", "n_images",
    "n_shifts", "engine", "schema_version",
)  # fmt: skip
STEP = "step"
"""A last column of metrics.csv, in files with a protocol whose steps are not pixels: ``10°``."""
ADDED = {"interval": "percentile"}
"""What rows with an interval had before a column was added; other added columns are empty then."""
SHIFT_COLUMNS = (
    "run_id", "protocol", "dy", "dx", "scale", "angle", "accuracy", "agreement",
    "mean_absolute_change", "n_images",
)  # fmt: skip
RADIUS_COLUMNS = (
    "run_id", "protocol", "shifts", "metric", "radius", "value", "ci_low", "ci_high", "interval",
    "n_images", "n_shifts",
)  # fmt: skip
PHASE_COLUMNS = (
    "run_id", "protocol", "period", "dy", "dx", "accuracy", "agreement", "mean_absolute_change",
    "n_shifts", "n_images",
)  # fmt: skip
TRAIN_COLUMNS = (
    "run_id", "epoch", "lr", "train_loss", "train_accuracy", "val_accuracy", "seconds",
    "images_per_second",
)  # fmt: skip
CLAIM_COLUMNS = (
    "claim", "slug", "source", "statement", "published", "measured", "measured_of", "ci_low",
    "ci_high", "verdict", "mean_verdict", "reason", "runs",
)  # fmt: skip
NETWORK_COLUMNS = ("claim", "network", "value", "ci_low", "ci_high")
LAYER_COLUMNS = (
    "run_id", "layer", "index", "kind", "stride", "dy", "dx", "equivariance_error",
    "cosine_distance", "invariance_error", "aliasing",
)  # fmt: skip
ROTATION_COLUMNS = (
    "run_id", "layer", "index", "kind", "stride", "angle", "equivariance_error", "invariance_error",
)  # fmt: skip
REQUIRED = frozenset((
    "run_id", "protocol", "experiment", "data", "model", "pool", "head", "padding", "augment",
    "seed", "params", "macs", "metric", "value", "ci_low", "ci_high", "n_images", "n_shifts",
    "engine", "schema_version",
    "dy", "dx", "scale", "angle", "accuracy", "agreement", "mean_absolute_change",
    "layer", "index", "kind", "stride", "equivariance_error", "cosine_distance",
    "invariance_error", "aliasing",
))  # fmt: skip
"""Columns of the first schema, which a file that should have them may not lack. It never grows."""


def in_order(columns: Sequence[str], found: Iterable[Any]) -> list[str]:
    """Return ``columns`` and additional ones of ``found``, each after the column preceding it.

    A new shift axis therefore stays between ``protocol`` and ``accuracy``; see :func:`axes_of`.

    >>> in_order(["protocol", "dy", "accuracy"], ["protocol", "dy", "shear", "accuracy", "loss"])
    ['protocol', 'dy', 'shear', 'accuracy', 'loss']
    """
    ordered = list(columns)
    place = len(ordered)
    for name in map(str, found):
        if name not in ordered:
            ordered.insert(place, name)
        place = ordered.index(name) + 1
    return ordered


def axes_of(columns: Sequence[str]) -> list[str]:
    """Return the shift axes among the columns of ``shifts.csv``: what precedes ``accuracy``.

    >>> axes_of(SHIFT_COLUMNS)
    ['dy', 'dx', 'scale', 'angle']
    """
    before = columns[: list(columns).index("accuracy")]
    return [name for name in before if name not in ("run_id", "protocol")]


def digest(content: bytes) -> str:
    """Return the SHA-256 of a file's content, as ``status.json`` lists it."""
    return hashlib.sha256(content).hexdigest()


def digest_of_file(path: Path) -> str | None:
    """Return the digest of a file, None if it cannot be read."""
    try:
        return digest(path.read_bytes())
    except OSError:
        return None


def metric_columns(found: Iterable[Any]) -> tuple[str, ...]:
    """Return the columns of a ``metrics.csv`` whose rows have the columns ``found``."""
    return (*METRIC_COLUMNS, STEP) if STEP in found else METRIC_COLUMNS


def write_csv(frame: pd.DataFrame, path: Path, columns: Sequence[str]) -> None:
    """Write the named columns atomically; floats with nine significant digits.

    Columns that the frame lacks are left empty, and those that are not named are omitted; use
    :func:`in_order` to name all. Equal frames give identical bytes.
    """
    write_text(path, csv_text(frame, columns))


def csv_text(frame: pd.DataFrame, columns: Sequence[str]) -> str:
    """Return the text of a result file; see :func:`write_csv`."""
    frame = frame.reindex(columns=list(columns))
    text: str = frame.to_csv(index=False, float_format="%.9g", lineterminator="\n")
    return text


def remove_own(path: Path, columns: Sequence[str]) -> None:
    """Remove a result file whose header has these columns, of this or of an earlier release.

    Earlier releases had fewer columns, in this order. Any other file of this name is kept.
    """
    try:
        with path.open(encoding="utf-8") as file:
            found = file.readline().rstrip("\n").split(",")
    except (OSError, ValueError):
        return
    if len(found) > 1 and found == [name for name in columns if name in found]:
        path.unlink(missing_ok=True)


def read_csv(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Read a result file and check that it has the columns; it may have more.

    Raises:
        ShiftbenchError: If the file is missing, unreadable or of another schema.
    """
    import pandas as pd

    try:
        # "none" and "null" are names of options here, not missing values
        frame = pd.read_csv(path, keep_default_na=False, na_values=[""])
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    require_columns(path, columns, list(map(str, frame.columns)))
    if "schema_version" in frame:
        require_schema(path, map(str, frame["schema_version"].unique()))
    return completed(frame, columns)


def completed(frame: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Return a frame with its missing ``columns`` filled in with their values before they existed.

    Args:
        frame: Rows of a result file, by name of column.
        columns: The columns of the current version of the file.
    """
    for name in missing_columns(columns, list(map(str, frame.columns))):
        known = ADDED.get(name)
        frame[name] = frame["ci_low"].notna().map({True: known, False: None}) if known else None
    return frame


def read_rows(path: Path, columns: Sequence[str]) -> list[Row]:
    """Read a result file without pandas, every value as a string.

    Raises:
        ShiftbenchError: As :func:`read_csv`.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    return parse_rows(text, path, columns)


def parse_rows(text: str, path: Path, columns: Sequence[str]) -> list[Row]:
    """Return the rows of a result file's text, by name of column; missing columns are filled in.

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
    require_columns(path, columns, found)
    if "schema_version" in found:
        require_schema(path, dict.fromkeys(row["schema_version"] for row in rows))
    missing = missing_columns(columns, found)
    return [row | {name: _before(name, row) for name in missing} for row in rows]


def missing_columns(columns: Sequence[str], found: Sequence[str]) -> list[str]:
    """Return those of ``columns`` that were added after the file was written."""
    return [name for name in columns if name not in found and name not in REQUIRED]


def _before(name: str, row: Row) -> str:
    """Return the value of a row for a column that did not exist when it was written."""
    return ADDED[name] if name in ADDED and row["ci_low"] else ""


def _unreadable(path: Path, error: Exception) -> ShiftbenchError:
    if isinstance(error, FileNotFoundError):
        return ShiftbenchError(f"no result file at {path}")
    return ShiftbenchError(f"{path} is not a readable CSV file ({error})")


def require_columns(path: Path, columns: Sequence[str], found: Sequence[str]) -> None:
    """Refuse a file that lacks one of the required columns.

    Raises:
        ShiftbenchError: With the missing columns.
    """
    missing = [name for name in columns if name not in found and name in REQUIRED]
    if missing:
        raise ShiftbenchError(f"{path} lacks the columns {', '.join(missing)}")


def require_schema(path: Path, versions: Iterable[str]) -> None:
    """Refuse a file of a later schema, whose columns may mean something else.

    Args:
        path: Path of the file.
        versions: Values of its column ``schema_version``.

    Raises:
        ShiftbenchError: With the unknown version.
    """
    for version in versions:
        if not _is_known_schema(version):
            raise ShiftbenchError(
                f"{path} has schema_version {version or 'none'}; this version of shiftbench reads "
                f"1 to {SCHEMA_VERSION}; read it with the version that wrote it, or a later one"
            )


def _is_known_schema(version: str) -> bool:
    try:
        return 0 < int(float(version)) <= SCHEMA_VERSION
    except (ValueError, OverflowError):
        return False
