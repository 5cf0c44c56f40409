"""Descriptions of metrics for reports, including external metrics whose code is not available."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from shiftbench.metric.base import ARROWS, METRICS, OPT_IN, Metric


@dataclass(frozen=True, slots=True)
class About:
    """Description of a metric without its function, as stored in ``run.json``.

    Attributes:
        name: The name in ``metrics.csv``.
        higher_is_better: None where neither direction is better.
        bounds: The smallest and the largest possible value.
        summary: The first line of its documentation.
    """

    name: str
    higher_is_better: bool | None
    bounds: tuple[float, float]
    summary: str

    @property
    def arrow(self) -> str:
        """The better direction; see :attr:`Metric.arrow`."""
        return ARROWS[self.higher_is_better]


# Descriptions of external metrics, from the run folders that this process has read. If they differ
# between runs, the first description is kept.
_described: dict[str, About] = {}


def about(name: str) -> Metric | About | None:
    """Return the description of a metric, from code or a run folder; None if there is none."""
    return METRICS.get(name) or OPT_IN.get(name) or _described.get(name)


def arrow_of(name: str) -> str:
    """Return the better direction of a metric, '' if it is unknown."""
    known = about(name)
    return known.arrow if known else ""


def description(metrics: Iterable[Metric]) -> dict[str, dict[str, Any]]:
    """Return the descriptions of metrics for ``run.json``; infinite bounds become null."""
    return {
        one.name: {
            "higher_is_better": one.higher_is_better,
            "bounds": [bound if math.isfinite(bound) else None for bound in one.bounds],
            "summary": one.summary,
        }
        for one in metrics
    }


def remember(described: object) -> None:
    """Keep the descriptions in a ``run.json``; any other content is ignored."""
    if not isinstance(described, Mapping):
        return
    for name, content in described.items():
        if isinstance(name, str) and (found := _read(name, content)):
            _described.setdefault(name, found)


def _read(name: str, content: Any) -> About | None:
    try:
        low, high = content["bounds"]
        bounds = (
            -math.inf if low is None else float(low),
            math.inf if high is None else float(high),
        )
        higher = content["higher_is_better"]
        return About(
            name, None if higher is None else bool(higher), bounds, str(content["summary"])
        )
    except (KeyError, TypeError, ValueError):
        return None
