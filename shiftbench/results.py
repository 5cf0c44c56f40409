"""The result files: their columns, how they are written and read.

pandas is loaded when there is a frame to make: a command that only shows rows starts without it.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from shiftbench.errors import ShiftbenchError
from shiftbench.files import write_text

if TYPE_CHECKING:
    import pandas as pd

Row = dict[str, str]

SCHEMA_VERSION = 1

METRIC_COLUMNS = (
    "run_id", "experiment", "data", "model", "pool", "head", "padding", "augment", "seed",
    "params", "macs", "protocol", "metric", "value", "ci_low", "ci_high", "n_images", "n_shifts",
    "engine", "schema_version",
)  # fmt: skip
SHIFT_COLUMNS = (
    "run_id", "protocol", "dy", "dx", "scale", "angle", "accuracy", "agreement",
    "mean_absolute_change", "n_images",
)  # fmt: skip
TRAIN_COLUMNS = (
    "run_id", "epoch", "lr", "train_loss", "train_accuracy", "val_accuracy", "seconds",
    "images_per_second",
)  # fmt: skip
CLAIM_COLUMNS = (
    "claim", "source", "statement", "published", "measured", "ci_low", "ci_high", "verdict",
    "reason", "runs",
)  # fmt: skip
LAYER_COLUMNS = (
    "run_id", "layer", "index", "kind", "stride", "dy", "dx", "equivariance_error",
    "cosine_distance", "invariance_error", "aliasing",
)  # fmt: skip


def write_csv(frame: pd.DataFrame, path: Path, columns: Sequence[str]) -> None:
    """Write the named columns, whole or not at all; floats with nine significant digits.

    Columns that the frame lacks are left empty. The same frame gives the same bytes.
    """
    frame = frame.reindex(columns=list(columns))
    write_text(path, frame.to_csv(index=False, float_format="%.9g", lineterminator="\n"))


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
    _require(path, columns, list(frame.columns))
    return frame


def read_rows(path: Path, columns: Sequence[str]) -> list[Row]:
    """Read a result file as it stands there, every value a string, without pandas.

    Raises:
        ShiftbenchError: As :func:`read_csv`.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, strict=True))
    except (OSError, ValueError, csv.Error) as error:
        raise _unreadable(path, error) from error
    _require(path, columns, list(rows[0]) if rows else [])
    return rows


def _unreadable(path: Path, error: Exception) -> ShiftbenchError:
    if isinstance(error, FileNotFoundError):
        return ShiftbenchError(f"no result file at {path}")
    return ShiftbenchError(f"{path} is not a readable CSV file ({error})")


def _require(path: Path, columns: Sequence[str], found: Sequence[str]) -> None:
    missing = [name for name in columns if name not in found]
    if missing:
        raise ShiftbenchError(f"{path} lacks the columns {', '.join(missing)}")
