"""The interface of a metric: a pure function from a prediction table to per-image terms.

The value of a metric is ``combine(sum of the terms over images)``. In this form, resampling images
is one matrix product (weights @ terms), and leaving one image out is one subtraction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shiftbench.metric.pairs import PairSpread
from shiftbench.prediction_table import PredictionTable

Floats = NDArray[np.float64]
Combine = Callable[[Floats], Floats]
CHUNK = 2_000_000  # numbers per block if a copy is needed
ARROWS = {True: "↑", False: "↓", None: "–"}
F = TypeVar("F", bound=Callable[..., "Terms"])


def ratio(sums: Floats) -> Floats:
    """Divide column 0 by column 1 of ``sums: (..., 2)``; NaN where the denominator is 0.

    >>> ratio(np.array([[1.0, 4.0], [0.0, 0.0]]))
    array([0.25,  nan])
    """
    above, below = sums[..., 0], sums[..., 1]
    value: Floats = np.full(above.shape, np.nan)
    np.divide(above, below, out=value, where=below > 0)
    return value


def summable(terms: Floats) -> Floats:
    """Round each column of ``terms: (N, T)`` to a grid on which sums of N terms are exact.

    Sums are then bitwise equal in any order and on any number of threads. Counts are not changed;
    for 10,000 fractions the step of the grid is 2^-39.
    """
    _, exponent = np.frexp(len(terms) * np.abs(terms).max(axis=0, initial=0.0))
    step = np.ldexp(1.0, exponent - 53)
    rounded: Floats = np.round(terms / step) * step
    return rounded


@dataclass(frozen=True, slots=True)
class Terms:
    """A metric before its final reduction.

    Attributes:
        terms: ``(N, T)`` float, the contribution of each image, rounded by :func:`summable`.
        combine: ``(..., T) -> (...)``, from terms summed over images to the value.
        n_images: Number of images that contribute to the value.
        n_shifts: Number of shifts (or steps of the path) per image that the metric uses.
        ends: ``(2, T)``, the terms of an image at the metric's lower and at its upper bound; None
            if there are no bounds.
        pairs: Sampling variation of a mean over pairs of images, for which ``terms`` are the part
            that is linear in the images; None for all other metrics.
        unrounded: ``(N, 2)``, a ratio's terms before :func:`summable`, to join parts of a table.
        heaviest: The argument of :meth:`ratio`.
    """

    terms: Floats
    combine: Combine
    n_images: int
    n_shifts: int
    ends: Floats | None = None
    pairs: PairSpread | None = None
    unrounded: Floats | None = None
    heaviest: float | None = None

    @property
    def value(self) -> float:
        """The metric over all images; NaN if it is undefined."""
        return float(self.combine(self.total))

    @property
    def total(self) -> Floats:
        """The terms summed over images, ``(T,)``."""
        total: Floats = self.terms.sum(axis=0)
        return total

    @property
    def leave_one_out(self) -> Floats:
        """The value without each image, ``(N,)``; NaN if it is undefined."""
        rows = max(1, CHUNK // self.terms.shape[1])
        starts = range(0, len(self.terms), rows)
        return np.concatenate(
            [self.combine(self.total - self.terms[at : at + rows]) for at in starts]
        )

    @property
    def binary(self) -> tuple[int, int] | None:
        """Number of images at the upper bound and of all images, if every image is at a bound."""
        if self.combine is not ratio or self.ends is None:
            return None
        above, below = self.terms[self.terms[:, 1] > 0].T
        (low, weight), (high, _) = self.ends
        if (below != weight).any() or not np.isin(above, (low, high)).all():
            return None
        return int(np.count_nonzero(above == high)), self.n_images

    def within(self, bounds: tuple[float, float]) -> Terms:
        """Return the terms of a ratio with these ``bounds`` instead of 0 and 1."""
        if self.ends is None or not np.isfinite(bounds).all():
            return replace(self, ends=None)
        weight = self.ends[:, 1]
        return replace(self, ends=np.stack([np.asarray(bounds) * weight, weight], axis=1))

    @classmethod
    def ratio(
        cls, above: ArrayLike, below: ArrayLike, n_shifts: int, heaviest: float | None = None
    ) -> Terms:
        """Return the ratio of two sums over images; images with ``below == 0`` do not contribute.

        Args:
            above: ``(N,)``, summands of the numerator.
            below: ``(N,)``, summands of the denominator, not negative.
            n_shifts: See :class:`Terms`.
            heaviest: Largest possible ``below`` of an image; the observed maximum by default.

        >>> Terms.ratio([1, 2, 0], 4, n_shifts=4).value  # 3 of 12
        0.25
        """
        pair = np.broadcast_arrays(np.asarray(above, np.float64), np.asarray(below, np.float64))
        unrounded = np.stack(pair, axis=1)
        terms = summable(unrounded)
        weight = float(terms[:, 1].max(initial=0.0) if heaviest is None else heaviest)
        ends = np.array([[0.0, weight], [weight, weight]])
        number = int(np.count_nonzero(terms[:, 1]))
        return cls(terms, ratio, number, n_shifts, ends, None, unrounded, heaviest)

    @classmethod
    def joined(cls, parts: Sequence[Terms]) -> Terms | None:
        """The terms of a whole table from those of its parts; None if they are not ratios.

        They are the same bytes as if the table were reduced at once.
        """
        found = [part.unrounded for part in parts if part.unrounded is not None]
        if len(found) < len(parts):
            return None
        above, below = np.concatenate(found).T
        shifts = max(part.n_shifts for part in parts)
        return cls.ratio(above, below, shifts, parts[0].heaviest)

    @classmethod
    def mean(cls, values: NDArray[np.generic], n_shifts: int) -> Terms:
        """Return the mean of one number per image; images with NaN are left out.

        >>> Terms.mean(np.array([1.0, 0.0, np.nan]), n_shifts=1).value
        0.5
        """
        numbers = values.astype(np.float64)
        valid = ~np.isnan(numbers)
        return cls.ratio(np.where(valid, numbers, 0.0), valid, n_shifts)


@dataclass(frozen=True, slots=True)
class Need:
    """A requirement that a metric places on the table, and the test for it."""

    sentence: str
    holds: Callable[[PredictionTable], bool]


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric and its description for reports.

    Attributes:
        name: The name in ``metrics.csv``.
        function: ``PredictionTable -> Terms``.
        higher_is_better: None where neither direction is better.
        bounds: The smallest and the largest possible value.
        needs: What a table must have for the metric to apply.
        by_image: Whether an image's terms depend on its own row of the table only, so that a table
            too large for memory is reduced in parts.
    """

    name: str
    function: Callable[[PredictionTable], Terms]
    higher_is_better: bool | None
    bounds: tuple[float, float]
    needs: tuple[Need, ...]
    by_image: bool = False

    def __call__(self, table: PredictionTable) -> Terms:
        """Reduce ``table`` to per-image terms."""
        terms = None
        if self.by_image and table.is_spilled:
            terms = Terms.joined([self.function(part) for part in table.parts()])
        if terms is None:
            terms = self.function(table)
            table.release()
        return terms if self.bounds == (0.0, 1.0) else terms.within(self.bounds)

    @property
    def summary(self) -> str:
        """The first line of the metric's documentation."""
        return (self.function.__doc__ or "").strip().partition("\n")[0]

    @property
    def arrow(self) -> str:
        """The better direction: ``"↑"``, ``"↓"`` or, for neither, ``"–"``."""
        return ARROWS[self.higher_is_better]

    def missing(self, table: PredictionTable) -> str | None:
        """Return the first requirement that ``table`` does not meet; None if the metric applies."""
        return next((need.sentence for need in self.needs if not need.holds(table)), None)

    def applies(self, table: PredictionTable) -> bool:
        """Whether the metric is defined for ``table``."""
        return self.missing(table) is None


METRICS: dict[str, Metric] = {}
"""Every metric by name, in the order of the rows of ``metrics.csv``."""

OPT_IN: dict[str, Metric] = {}
"""Metrics of the package that only runs that name them have, ``metric=[standard,worst_of_k]``."""


def metric(
    name: str,
    *,
    higher_is_better: bool | None,
    needs: tuple[Need, ...] = (),
    bounds: tuple[float, float] = (0.0, 1.0),
    by_image: bool = False,
    opt_in: bool = False,
) -> Callable[[F], F]:
    """Register the decorated function; the function is returned unchanged.

    It is registered in :data:`METRICS`, or with ``opt_in`` in :data:`OPT_IN`. The other arguments
    are attributes of :class:`Metric`.
    """

    def enter(function: F) -> F:
        known = METRICS.get(name) or OPT_IN.get(name)
        # Registering the same function again (a notebook cell run twice) is not an error.
        if known and _place(known.function) != _place(function):
            raise ValueError(f"there is already a metric called {name!r}; choose another name")
        registry = OPT_IN if opt_in else METRICS
        registry[name] = Metric(name, function, higher_is_better, bounds, needs, by_image)
        return function

    return enter


def _place(function: Callable[..., Terms]) -> tuple[str, str]:
    return function.__module__, function.__qualname__
