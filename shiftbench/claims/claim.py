"""A claim, the finding about it, and the data of its deciding figure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from shiftbench.claims.evidence import Evidence

REPRODUCED, NOT_REPRODUCED = "reproduced", "not reproduced"
INCONCLUSIVE, NOT_RUN = "inconclusive", "not run"
VERDICTS = (REPRODUCED, NOT_REPRODUCED, INCONCLUSIVE, NOT_RUN)
SMOKE = "they show that the commands work, not what networks do"
UNCHECKED = "from memory of the literature, unchecked"


@dataclass(frozen=True)
class Series:
    """Points of one name; ``low`` and ``high`` are empty or as long as ``y``.

    ``pool`` gives it the colour of a pool.
    """

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    pool: str = ""
    published: bool = False


@dataclass(frozen=True)
class Plot:
    """The data of the figure that decides a claim.

    Attributes:
        kind: ``lines``, ``bars`` or ``dots``.
        x_label: Label of the x axis.
        y_label: Label of the y axis.
        series: The series to draw.
        x_names: For ``bars``: the names at x = 0, 1, ...
        log: Whether both axes are logarithmic, to base 2 and 10.
        zero: Whether lines at 0 are drawn.
    """

    kind: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    x_names: tuple[str, ...] = ()
    log: bool = False
    zero: bool = False


@dataclass(frozen=True)
class Network:
    """The deciding number of one network, with an interval that holds for all networks at once."""

    name: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Finding:
    """The result of judging a claim by runs.

    Attributes:
        verdict: ``reproduced``, ``not reproduced`` or ``inconclusive``.
        measured: The number of one network, or the mean over networks for a claim on every one.
        low: Lower end of its 95 % interval, NaN without an interval (exact claims).
        high: Upper end.
        reason: The basis of the verdict, and additional numbers.
        runs: The names of the runs used.
        plot: The data of its deciding figure.
        measured_of: What ``measured`` describes: ``mean over 7 networks``, ``vgg · gap``, ...
        networks: All networks of a claim on every one, with simultaneous intervals.
        mean_verdict: The verdict on the mean over networks such as these, '' without one.
        threshold: The numbers must be above it; NaN if ``networks`` is empty.
        least_certain: The one of ``networks`` with the weakest evidence of being above.
        ratio: Whether the numbers are ratios, drawn on a logarithmic axis.
    """

    verdict: str
    measured: float
    low: float
    high: float
    reason: str
    runs: tuple[str, ...]
    plot: Plot | None = None
    measured_of: str = ""
    networks: tuple[Network, ...] = ()
    mean_verdict: str = ""
    threshold: float = math.nan
    least_certain: Network | None = None
    ratio: bool = False


@dataclass(frozen=True)
class Claim:
    """A published finding.

    Attributes:
        key: ``A1``; the letter stands for the source: A Azulay & Weiss, Z Zhang, C Chaman &
            Dokmanić and other exact methods, S and T pooling and augmentation in general, K and
            F Kayhan & van Gemert, W wavelets, P means over phases, E oversampling, X beyond
            accuracy, H Harmonic Networks, R rescaling.
        slug: Its readable name, ``one_pixel_changes_top1``; accepted wherever the key is.
        source: Paper and section.
        statement: The claim in one sentence.
        published: The published numbers, ``name=value`` with ``; `` between them.
        measured: A description of the deciding number.
        experiments: The studies that make its runs.
        check: Returns the finding for the evidence, None without runs for it.
        variants: Whether it is about variants of networks, see :attr:`Run.is_variant`, which the
            other claims do not concern.
    """

    key: str
    slug: str
    source: str
    statement: str
    published: str
    measured: str
    experiments: tuple[str, ...]
    check: Callable[[Evidence], Finding | None] = field(repr=False)
    variants: bool = False


def listed(values: Mapping[str, float], digits: int = 3) -> str:
    """Return ``a=0.100; b=0.200``.

    >>> listed({"gap": 0.1234, "flatten": 0.5})
    'gap=0.123; flatten=0.500'
    """
    return "; ".join(f"{name}={value:.{digits}f}" for name, value in values.items())
