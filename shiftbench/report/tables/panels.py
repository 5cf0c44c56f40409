"""Grouping of a study's configurations into figures and tables, and formatting of numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pandas as pd

from shiftbench.report.tables.labels import panel_labels, text_of

LEVELS = ("none", "crop", "shift", "full")  # augmentation levels from weak to strong


@dataclass(frozen=True)
class Panel:
    """The configurations that may be compared: one data set under one protocol.

    Attributes:
        key: Identifier in file names.
        title: The protocol, with the data set if a study has several.
        rows: Its rows of the summary, with a column ``label``.
        unfinished: Rows of configurations on this data without a finished run.
    """

    key: str
    title: str
    rows: pd.DataFrame
    unfinished: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False)

    @property
    def protocol(self) -> str:
        """Name of the protocol."""
        return str(self.rows["protocol"].iloc[0])

    def having(self, *metrics: str) -> Panel | None:
        """Return the panel without rows that lack one of the metrics, None if none is left."""
        if not set(metrics) <= set(self.rows.columns):
            return None
        rows = self.rows.dropna(subset=[*metrics])
        return replace(self, rows=rows) if len(rows) else None


def panels(summary: pd.DataFrame) -> list[Panel]:
    """Return one panel for every data set and protocol of a summary, in the order of its rows."""
    if summary.empty:
        return []
    frame = summary.assign(label=panel_labels(summary))
    measured = text_of(frame["protocol"]) != ""
    rest, frame = frame[~measured], frame[measured]
    several = frame["data"].nunique() > 1
    found = []
    for (data, protocol), rows in frame.groupby(["data", "protocol"], sort=False):
        title = f"{data}, {protocol}" if several else str(protocol)
        key = re.sub(r"[^\w.-]+", "-", title).strip("-")
        # A job whose data set is unknown may belong to any.
        found.append(Panel(key, title, rows, rest[rest["data"].isin(["", data])]))
    return found


def levels(values: Sequence[str]) -> list[str]:
    """Return augmentation levels from weak to strong, then user-defined ones by name.

    >>> levels(["mine", "shift", "none"])
    ['none', 'shift', 'mine']
    """
    known = [level for level in LEVELS if level in set(values)]
    return [*known, *sorted(set(values) - set(known))]


def percent(value: float) -> str:
    """Return a fraction as a percentage with one decimal and a no-break space before the sign.

    >>> percent(0.92949).split()
    ['92.9', '%']
    """
    return f"{100 * value:.1f}\u00a0%"


def listed(parts: Sequence[str], most: int = 12) -> str:
    """Return ``a; b; c``, truncated to ``most`` parts and the number of the others.

    >>> listed(["a", "b", "c"], most=2)
    'a; b; and 1 more'
    """
    rest = len(parts) - most
    return "; ".join([*parts[:most], *([f"and {rest} more"] if rest > 0 else [])])
