"""Verdicts from numbers with intervals, by rules that were written before the runs.

A direction (the number is above a threshold) is reproduced if the whole interval is above it, not
reproduced if none of it is, inconclusive otherwise. "In every network" is reproduced if this holds
for the separate interval of every network, and not reproduced if one of the simultaneous intervals
is entirely not above. An equality is reproduced if every number is within a stated tolerance.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from shiftbench.claims.claim import INCONCLUSIVE, NOT_REPRODUCED, REPRODUCED, Finding, Network, Plot
from shiftbench.claims.estimates import Estimate, population_estimate
from shiftbench.inference.crossed import CONFIDENCE
from shiftbench.inference.simultaneous import simultaneous_confidence
from shiftbench.metric.proportion import unseen_share


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
    found: Estimate,
    threshold: float = 0.0,
    more: str = "",
    plot: Plot | None = None,
    measured_of: str = "",
) -> Finding | None:
    """Return the finding for one number, None if it could not be computed."""
    if math.isnan(found.value):
        return None
    over = f"interval over {found.over}" if found.over else "no interval, so undecided"
    return Finding(verdict_of(found, threshold), found.value, found.low, found.high,
                   sentences(over, more), found.runs, plot, measured_of)  # fmt: skip


def decide_equal(
    found: Estimate,
    margin: float,
    more: str = "",
    plot: Plot | None = None,
    measured_of: str = "",
    shown: Callable[[float], float] = float,
) -> Finding | None:
    """Return the finding on "a difference is within ±margin", None if it could not be computed.

    Reproduced if the whole interval is within, not reproduced if none of it is. ``shown`` is as for
    :func:`decide_every`.
    """
    if math.isnan(found.value):
        return None
    if -margin < found.low and found.high < margin:
        verdict = REPRODUCED
    else:
        outside = found.low >= margin or found.high <= -margin
        verdict = NOT_REPRODUCED if outside else INCONCLUSIVE
    over = f"interval over {found.over}" if found.over else "no interval, so undecided"
    seen = found.through(shown)
    return Finding(verdict, seen.value, seen.low, seen.high,
                   sentences(over, more), found.runs, plot, measured_of)  # fmt: skip


def decide_every(
    found: Sequence[Estimate],
    threshold: float = 0.0,
    more: str = "",
    plot: Plot | None = None,
    shown: Callable[[float], float] = float,
    each: str = "networks",
) -> Finding | None:
    """Return the finding on "in every network".

    Args:
        found: The number of every network.
        threshold: The number must be above it.
        more: Additional information for ``reason``.
        plot: The data of its deciding figure.
        shown: An increasing function from the numbers to those that are shown (``math.exp`` for
            logarithms); ``threshold`` is one of the numbers.
        each: What each number describes.
    """
    known = [one for one in found if not math.isnan(one.value)]
    if not known:
        return None
    if len(known) == 1:
        name = known[0].name
        return decide(known[0].through(shown), shown(threshold), more, plot, name or "one network")
    level = simultaneous_confidence([one.deviation for one in known if one.deviation])
    networks = tuple(_network(one, level, shown) for one in known)
    mean = population_estimate(known).through(shown)
    least = networks[known.index(min(known, key=lambda one: _strength(one, threshold)))]
    spread = f"{each} differ by ±{_spread([one.value for one in networks]):.3f}"
    parts = _over(known), _above(known, threshold, shown), spread, _least_certain(least, each)
    reason = sentences(*parts, more)
    return Finding(
        _of_every(known, networks, threshold, shown(threshold)),
        mean.value, mean.low, mean.high, reason, _runs(known), plot,
        f"mean over {len(known)} {each}", networks, verdict_of(mean, shown(threshold)),
        shown(threshold), least, ratio=shown is math.exp,
    )  # fmt: skip


def _over(known: Sequence[Estimate]) -> str:
    return f"intervals over {', '.join(dict.fromkeys(one.over or 'no interval' for one in known))}"


def _above(known: Sequence[Estimate], threshold: float, shown: Callable[[float], float]) -> str:
    above = sum(one.value > threshold for one in known)
    return f"{above} of {len(known)} above {shown(threshold):g}"


def _runs(known: Sequence[Estimate]) -> tuple[str, ...]:
    """Return the runs behind all numbers, each once."""
    return tuple(dict.fromkeys(run for one in known for run in one.runs))


def _network(one: Estimate, level: float, shown: Callable[[float], float]) -> Network:
    low, high = (shown(end) for end in one.at(level))
    return Network(one.name, shown(one.value), low, high)


def _of_every(
    known: Sequence[Estimate], networks: Sequence[Network], threshold: float, shown: float
) -> str:
    """Return the verdict: all separate intervals are above, or one simultaneous interval is not."""
    if all(verdict_of(one, threshold) == REPRODUCED for one in known):
        return REPRODUCED
    return NOT_REPRODUCED if any(one.high <= shown for one in networks) else INCONCLUSIVE


def _least_certain(least: Network, each: str) -> str:
    if not least.name:
        return ""
    ends = "" if math.isnan(least.low) else f" [{least.low:.3f} {least.high:.3f}]"
    return f"the least certain: {least.name} with {least.value:.3f}{ends}, simultaneous over {each}"


def _spread(values: Sequence[float]) -> float:
    """Return the sample standard deviation."""
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((one - mean) ** 2 for one in values) / (len(values) - 1))


def _strength(one: Estimate, threshold: float) -> tuple[int, float]:
    """Return the sort key whose minimum is the least certain: its verdict, then its lower end.

    Without an interval, its value is used.
    """
    order = (NOT_REPRODUCED, INCONCLUSIVE, REPRODUCED)
    end = one.value if math.isnan(one.low) else one.low
    return order.index(verdict_of(one, threshold)), end


def decide_exact(
    values: Sequence[Estimate],
    wanted: float,
    tolerance: float,
    more: str = "",
    plot: Plot | None = None,
    n_images: int = 0,
) -> Finding | None:
    """Return the finding on "every number is ``wanted``", with the one farthest from it.

    ``n_images`` is the number of test images: if all agree, it bounds the share of others that may
    not.
    """
    known = [one for one in values if not math.isnan(one.value)]
    if not known:
        return None
    farthest = max(known, key=lambda one: abs(one.value - wanted))
    good = sum(abs(one.value - wanted) <= tolerance for one in known)
    verdict = REPRODUCED if good == len(known) else NOT_REPRODUCED
    within = f"{good} of {len(known)} runs within {tolerance:g} of {wanted:g}"
    name = f"the farthest: {farthest.name}" if farthest.name and good < len(known) else ""
    bound = ""
    if n_images and all(one.value == wanted for one in known):
        share = unseen_share(n_images, CONFIDENCE)
        bound = f"exact on all {n_images:,} images, so at most {share:.3g} of others are not"
    reason = sentences(within, bound, name, more)
    return Finding(verdict, farthest.value, math.nan, math.nan, reason, _runs(known), plot,
                   "farthest run")  # fmt: skip


def sentences(*parts: str) -> str:
    """Join the non-empty parts of a reason.

    >>> sentences("a", "", "b")
    'a; b'
    """
    return "; ".join(part for part in parts if part)
