"""Data of figures: estimates as series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from shiftbench.claims.blocks import Block
from shiftbench.claims.claim import Plot, Series
from shiftbench.claims.estimates import Estimate, Statistic, estimate

MOST_SERIES = 8  # more lines or bars cannot be distinguished


def arm_means(block: Block, protocol: str, metric: str) -> dict[str, Estimate]:
    """Return a metric of every arm, over the block's seeds."""
    return {arm: estimate(block, reading(arm, protocol, metric)) for arm in block.arms}


def reading(arm: str, protocol: str, metric: str) -> Statistic:
    """Return the statistic that reads one metric of one arm."""
    return lambda read: read(arm, protocol, metric)


def values(means: Mapping[str, Estimate]) -> dict[str, float]:
    """Return the means without their intervals."""
    return {name: one.value for name, one in means.items()}


def series(name: str, x: Sequence[float], found: Sequence[Estimate], pool: str = "") -> Series:
    """Return estimates as one series; a missing interval has zero length."""
    low = tuple(one.value if one.low != one.low else one.low for one in found)
    high = tuple(one.value if one.high != one.high else one.high for one in found)
    return Series(name, tuple(x), tuple(one.value for one in found), low, high, pool)


def bars(
    rows: Mapping[str, Mapping[str, Estimate]],
    x_label: str,
    y_label: str,
    published: Mapping[str, float] | None = None,
) -> Plot:
    """Return the data of a figure with groups of bars.

    Args:
        rows: By series name, the values by group name; the first series orders the groups.
        x_label: Meaning of the groups.
        y_label: The measured quantity.
        published: Published numbers by group, drawn beside the bars.
    """
    groups = list(dict.fromkeys(name for row in rows.values() for name in row))
    position = {name: float(number) for number, name in enumerate(groups)}
    shown = [
        series(name, [position[group] for group in row], list(row.values()))
        for name, row in list(rows.items())[:MOST_SERIES]
    ]
    if published:
        known = {name: value for name, value in published.items() if name in position}
        shown.append(Series("published", tuple(position[name] for name in known),
                            tuple(known.values()), published=True))  # fmt: skip
    return Plot("bars", x_label, y_label, tuple(shown), tuple(groups))


def arms_of_blocks(
    found: Sequence[Block], protocol: str, metric: str, arms: Sequence[str] | None = None
) -> dict[str, dict[str, Estimate]]:
    """Return the rows of :func:`bars`: an arm per series, a block per group."""
    rows: dict[str, dict[str, Estimate]] = {}
    for block in found[:MOST_SERIES]:
        means = arm_means(block, protocol, metric)
        for arm in arms or block.arms:
            rows.setdefault(arm, {})[block.name or "all"] = means[arm]
    return rows
