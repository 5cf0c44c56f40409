"""The paired differences of a page: every variant against the reference, metric by metric."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from shiftbench.metric import about
from shiftbench.report.page_tables import MAIN, Cell, Row, Table, column_of
from shiftbench.report.study import labels


def difference_tables(differences: pd.DataFrame | None) -> list[Table]:
    """Return a table per protocol, the cells marked whose interval leaves 0 out.

    Args:
        differences: As :func:`~shiftbench.report.differences.differences` returns them, or None.
    """
    if differences is None or differences.empty:
        return []
    return list(_tables(differences))


def _tables(rows: pd.DataFrame) -> Iterator[Table]:
    several = rows["data"].nunique() > 1
    for (data, protocol), part in rows.groupby(["data", "protocol"], sort=False):
        names = [name for name in MAIN if name in set(part["metric"])]
        first = part.iloc[0]
        kinds = [f"95 % interval over {kind}" for kind in dict.fromkeys(part["kind"]) if kind]
        yield Table(
            key=f"{data}-{protocol}",
            title=f"{data}, {protocol}" if several else str(protocol),
            shown="; ".join([f"variant − {first['group']}={first['reference']}", *kinds]),
            columns=[column_of(name) for name in names],
            rows=list(_rows(part, names)),
        )


def _rows(part: pd.DataFrame, names: Sequence[str]) -> Iterator[Row]:
    variants = part.drop_duplicates("config_id")
    named = labels(variants)
    named = named.where(named != "as given", variants["variant"].astype(str))
    for (config_id, rows), name in zip(part.groupby("config_id", sort=False), named, strict=True):
        by_metric = {str(row["metric"]): row for row in rows.to_dict("records")}
        differs = str(by_metric[next(iter(by_metric))].get("differs") or "")
        notes = [f"pairs differ in {differs} too"] if differs else []
        cells = [_cell(by_metric.get(metric), metric) for metric in names]
        seeds = int(rows["seeds"].max())
        yield Row(name, str(config_id), notes, [*cells, Cell(str(seeds), value=float(seeds))])


def _cell(row: Mapping[Any, Any] | None, metric: str) -> Cell:
    if row is None or math.isnan(row["difference"]):
        return Cell("–")
    difference, low, high = (float(row[name]) for name in ("difference", "ci_low", "ci_high"))
    if math.isnan(low) or math.isnan(high):
        return Cell(_signed(difference), value=difference)
    interval = f"[{_signed(low)} {_signed(high)}]"
    return Cell(_signed(difference), interval=interval, value=difference,
                mark=_verdict(metric, low, high))  # fmt: skip


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")


def _verdict(metric: str, low: float, high: float) -> str:
    """Return ``better``, ``worse``, ``differs`` or, where the interval has 0 in it, nothing."""
    if not (low > 0 or high < 0):
        return ""
    known = about(metric)
    if known is None or known.higher_is_better is None:
        return "differs"
    return "better" if (low > 0) == known.higher_is_better else "worse"
