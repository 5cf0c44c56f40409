"""From numbers with intervals to a verdict, by rules that were written before the runs.

A direction (the number is above a threshold) is reproduced if the whole interval is above it, not
reproduced if none of it is, inconclusive otherwise. An equality is reproduced if every number is
within a stated tolerance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from shiftbench.claims.claim import INCONCLUSIVE, NOT_REPRODUCED, REPRODUCED, Finding, Plot
from shiftbench.claims.estimates import Estimate


def verdict_of(found: Estimate, threshold: float = 0.0) -> str:
    """Return the verdict on "the number is above the threshold".

    >>> verdict_of(Estimate(0.2, 0.1, 0.3)), verdict_of(Estimate(0.2, -0.1, 0.5))
    ('reproduced', 'inconclusive')
    >>> verdict_of(Estimate(0.2, 0.1, 0.3), threshold=0.3)
    'not reproduced'
    """
    if found.low > threshold:
        return REPRODUCED
    return NOT_REPRODUCED if found.high <= threshold else INCONCLUSIVE


def decide(
    found: Estimate, threshold: float = 0.0, more: str = "", plot: Plot | None = None
) -> Finding | None:
    """Return the finding of one number, None where it could not be computed."""
    if math.isnan(found.value):
        return None
    over = f"interval over {found.over}" if found.over else "no interval, so undecided"
    return Finding(verdict_of(found, threshold), found.value, found.low, found.high,
                   sentences(over, more), found.runs, plot)  # fmt: skip


def decide_every(
    found: Sequence[Estimate], threshold: float = 0.0, more: str = "", plot: Plot | None = None
) -> Finding | None:
    """Return the finding on "in every network": that of the one which speaks most against it."""
    known = [one for one in found if not math.isnan(one.value)]
    if not known:
        return None
    weakest = min(known, key=lambda one: _strength(one, threshold))
    above = sum(one.value > threshold for one in known)
    count = f"{above} of {len(known)} {_above(threshold)}" if len(known) > 1 else ""
    name = f"the weakest: {weakest.name}" if len(known) > 1 and weakest.name else ""
    finding = decide(weakest, threshold, sentences(count, name, more), plot)
    assert finding is not None
    runs = tuple(dict.fromkeys(run for one in known for run in one.runs))
    return Finding(finding.verdict, finding.measured, finding.low, finding.high, finding.reason,
                   runs, plot)  # fmt: skip


def _strength(one: Estimate, threshold: float) -> tuple[int, float]:
    """Return what the weakest is the smallest of: its verdict, then how low its interval reaches.

    One without an interval stands by its value.
    """
    order = (NOT_REPRODUCED, INCONCLUSIVE, REPRODUCED)
    end = one.value if math.isnan(one.low) else one.low
    return order.index(verdict_of(one, threshold)), end


def _above(threshold: float) -> str:
    return f"above {threshold:g}"


def decide_exact(
    values: Sequence[Estimate],
    wanted: float,
    tolerance: float,
    more: str = "",
    plot: Plot | None = None,
) -> Finding | None:
    """Return the finding on "every number is ``wanted``": that of the one farthest from it."""
    known = [one for one in values if not math.isnan(one.value)]
    if not known:
        return None
    farthest = max(known, key=lambda one: abs(one.value - wanted))
    good = sum(abs(one.value - wanted) <= tolerance for one in known)
    verdict = REPRODUCED if good == len(known) else NOT_REPRODUCED
    within = f"{good} of {len(known)} runs within {tolerance:g} of {wanted:g}"
    name = f"the farthest: {farthest.name}" if farthest.name and good < len(known) else ""
    runs = tuple(dict.fromkeys(run for one in known for run in one.runs))
    return Finding(verdict, farthest.value, math.nan, math.nan, sentences(within, name, more), runs,
                   plot)  # fmt: skip


def sentences(*parts: str) -> str:
    """Join what there is to say.

    >>> sentences("a", "", "b")
    'a; b'
    """
    return "; ".join(part for part in parts if part)
