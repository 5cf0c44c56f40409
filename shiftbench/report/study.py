"""What the configurations of a study are called, and which of them belong in one picture."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from shiftbench.report.records import LABELS as GROUPS

# Not the experiment: what it sets tells configurations apart, and several may share a run.
LABELS = (*(name for name in GROUPS if name != "experiment"), "settings")
LEVELS = ("none", "crop", "shift", "full")  # of augmentation, from weak to strong


@dataclass(frozen=True)
class Panel:
    """What may be compared: one data set under one protocol.

    Attributes:
        key: For file names.
        title: The protocol, with the data where a study has several.
        rows: Its rows of the summary, ``label`` among the columns.
    """

    key: str
    title: str
    rows: pd.DataFrame


def varying(summary: pd.DataFrame) -> list[str]:
    """Return the columns of :data:`LABELS` in which the configurations differ, in order.

    A job without a run knows its overrides alone: what it leaves empty differs from nothing.
    """
    known = _text(summary["config_id"]) != ""
    found = []
    for name in (name for name in LABELS if name in summary.columns):
        values = _text(summary[name])
        if values[known | (values != "")].nunique() > 1:
            found.append(name)
    if not known.all() and "settings" not in found and (_text(summary["settings"]) != "").any():
        found.append("settings")
    return found


def labels(summary: pd.DataFrame, leave_out: Sequence[str] = ()) -> pd.Series[str]:
    """Return what tells the configuration of each row from the others, as ``blur · crop``.

    >>> frame = pd.DataFrame({"pool": ["max", "blur"], "head": "gap", "config_id": ["a", "b"]})
    >>> labels(frame).tolist()
    ['max', 'blur']
    """
    names = [name for name in varying(summary) if name not in leave_out]
    if not names:
        names = ["pool"] if "pool" not in leave_out else ["model"]
    # What is fixed has no name of its own in a label; an empty one (the defaults) has none either.
    parts = [_text(summary[name]) for name in names if name in summary.columns]
    texts = [" · ".join(part for part in row if part) for row in zip(*parts, strict=True)]
    found = pd.Series([text or "as given" for text in texts], index=summary.index, dtype=object)
    return found if leave_out else _told_apart(found, _text(summary["config_id"]))


def panel_labels(summary: pd.DataFrame) -> pd.Series[str]:
    """Return what tells the configuration of each row from the others on the same data.

    Every panel says in its title which data it is of.
    """
    found = labels(summary, leave_out=("data",))
    for _, part in found.groupby(_text(summary["data"])):
        identity = _text(summary.loc[part.index, "config_id"])
        found.loc[part.index] = _told_apart(part, identity)
    return found


def _text(values: pd.Series[Any]) -> pd.Series[str]:
    """Return a column as text, '' where it is empty."""
    return values.astype(object).where(values.notna(), "").astype(str)


def _told_apart(found: pd.Series[str], identity: pd.Series[str]) -> pd.Series[str]:
    """Add the beginning of the configuration's hash where two have the same label."""
    shared = identity.groupby(found).transform("nunique") > 1
    return found.where(~shared, found + " · " + identity.str[:4])


def panels(summary: pd.DataFrame, needs: Sequence[str] = ()) -> Iterator[Panel]:
    """Yield one panel per data set and protocol; rows that lack a metric of ``needs`` left out."""
    if summary.empty or not set(needs) <= set(summary.columns):
        return
    frame = summary.assign(label=panel_labels(summary))
    frame = frame[_text(frame["protocol"]) != ""].dropna(subset=[*needs])
    several = frame["data"].nunique() > 1
    for (data, protocol), rows in frame.groupby(["data", "protocol"], sort=False):
        title = f"{data}, {protocol}" if several else str(protocol)
        yield Panel(re.sub(r"[^\w.-]+", "-", title).strip("-"), title, rows)


def levels(values: Sequence[str]) -> list[str]:
    """Return augmentation levels from weak to strong, those of one's own after them, by name.

    >>> levels(["mine", "shift", "none"])
    ['none', 'shift', 'mine']
    """
    known = [level for level in LEVELS if level in set(values)]
    return [*known, *sorted(set(values) - set(known))]


def percent(value: float) -> str:
    """Return a fraction as a percentage with one digit, the sign after a space that holds.

    >>> percent(0.92949).split()
    ['92.9', '%']
    """
    return f"{100 * value:.1f}\u00a0%"


def listed(parts: Sequence[str], most: int = 12) -> str:
    """Return ``a; b; c``, the rest counted.

    >>> listed(["a", "b", "c"], most=2)
    'a; b; and 1 more'
    """
    rest = len(parts) - most
    return "; ".join([*parts[:most], *([f"and {rest} more"] if rest > 0 else [])])
