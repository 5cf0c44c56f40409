"""The ranks that each configuration may have, from simultaneous intervals of differences.

For each configuration, the differences of all others from it get simultaneous 95 % intervals. Those
that are better throughout their interval rank before it, those that are worse behind it, and the
others may have either place (confidence sets for a rank: Mogstad, Romano, Shaikh & Wilhelm, Review
of Economic Studies 2024, doi 10.1093/restud/rdad006).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

from shiftbench.inference.crossed import Deviation, deviation
from shiftbench.inference.kinds import over
from shiftbench.report.tables.best import (
    Best,
    contains_zero,
    higher_is_better,
    is_known,
    joint_level,
)

Range = tuple[int, int]


@dataclass(frozen=True)
class Ranking:
    """The ranks of configurations.

    Attributes:
        ranges: The best and the worst rank that each may have, 1 is the best; by ``config_id``.
        kinds: What the intervals cover, e.g. ``3 seeds × images``.
        unknown: Number of pairs whose difference has no known error; they count as equal.
    """

    ranges: Mapping[str, Range] = field(default_factory=dict)
    kinds: tuple[str, ...] = ()
    unknown: int = 0


def ranking(config_ids: Sequence[str], best: Best, protocol: str, metric: str) -> Ranking:
    """Return the ranks that each configuration may have.

    A pair counts as different if the intervals around both of its configurations say so.

    Args:
        config_ids: Distinct configurations that were measured on the same data.
        best: The metrics of their runs.
        protocol: Protocol under which they are ranked.
        metric: A metric with a better direction.
    """
    sign = 1 if higher_is_better(metric) else -1
    known: dict[str, dict[str, tuple[float, Deviation]]] = {one: {} for one in config_ids}
    kinds, unknown = dict[str, None](), 0
    for one, other in combinations(config_ids, 2):
        sample = best.difference(one, other, protocol, metric)
        if sample is None or not is_known(sample, error := deviation(sample)):
            unknown += 1
            continue
        kinds[over(sample)] = None
        known[one][other] = sign * sample.mean, error
        known[other][one] = -sign * sample.mean, _reversed(error)
    signs = {one: _signs(others) for one, others in known.items()}
    before = {
        (one, other)
        for one, others in signs.items()
        for other, found in others.items()
        if found > 0 and signs[other][one] < 0
    }
    ranges = {one: _range(one, config_ids, before) for one in config_ids}
    return Ranking(ranges, tuple(kinds), unknown)


def _reversed(error: Deviation) -> Deviation:
    """Return the error of the difference in the other direction."""
    return replace(error, images={key: -means for key, means in error.images.items()})


def _signs(others: Mapping[str, tuple[float, Deviation]]) -> dict[str, int]:
    """Return 1 for configurations that are better throughout, −1 for worse ones, otherwise 0."""
    level = joint_level([(error, abs(value)) for value, error in others.values()])
    return {
        other: 0 if contains_zero(value, error, level) else int(math.copysign(1, value))
        for other, (value, error) in others.items()
    }


def _range(one: str, config_ids: Sequence[str], before: set[tuple[str, str]]) -> Range:
    """Return the ranks that ``one`` may have; (a, b) in ``before`` if b is better than a."""
    first = 1 + sum((one, other) in before for other in config_ids)
    return first, len(config_ids) - sum((other, one) in before for other in config_ids)


def range_text(first: float, last: float) -> str:
    """Return the ranks as text.

    >>> range_text(1, 1), range_text(2, 3)
    ('1', '2–3')
    """
    return f"{first:.0f}" if first == last else f"{first:.0f}–{last:.0f}"
