"""The ranks that each configuration may have, from simultaneous intervals of differences.

For each configuration, the differences of all others from it get simultaneous 95 % intervals. Those
that are better throughout their interval rank before it, those that are worse behind it, and the
others may have either place (confidence sets for a rank: Mogstad, Romano, Shaikh & Wilhelm, Review
of Economic Studies 91, 2024, sec. 3; Klein, Wright & Wieczorek, JRSS A 183, 2020).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

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
    kinds: dict[str, None] = {}
    better: set[tuple[str, str]] = set()  # (a, b): b is better than a, by the intervals around a
    worse: set[tuple[str, str]] = set()
    unknown: set[frozenset[str]] = set()
    for one in config_ids:
        differences, errors = {}, dict[str, Deviation]()
        for other in config_ids:
            if other == one:
                continue
            sample = best.difference(one, other, protocol, metric)
            if sample is None or not is_known(sample, error := deviation(sample)):
                unknown.add(frozenset((one, other)))
                continue
            differences[other], errors[other] = sign * sample.mean, error
            kinds[over(sample)] = None
        level = joint_level([(errors[name], abs(value)) for name, value in differences.items()])
        for other, value in differences.items():
            if not contains_zero(value, errors[other], level):
                (better if value > 0 else worse).add((one, other))
    before = {(a, b) for a, b in better if (b, a) in worse}
    return Ranking(
        {one: _range(one, config_ids, before) for one in config_ids}, tuple(kinds), len(unknown)
    )


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
