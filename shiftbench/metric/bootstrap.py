"""Cluster bootstrap: images are resampled, never shifts, as the shifts of an image are correlated.

The same resampled images serve every metric of a table, and both tables of a comparison.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from shiftbench.errors import UsageError, require_one_of
from shiftbench.metric.base import Floats, Terms
from shiftbench.seeds import derive_seed

CHUNK = 2_000_000  # resampled images held at a time: about 50 MB
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """How intervals are made.

    Attributes:
        resamples: How many times the images are drawn again; 0 for no intervals.
        seed: Seed of the draws.
        confidence: Chance that the interval is meant to hold the true value.
        method: ``"percentile"``, or ``"bca"`` (bias-corrected and accelerated, Efron 1987).
    """

    resamples: int = 1000
    seed: int = 0
    confidence: float = 0.95
    method: str = "percentile"

    def __post_init__(self) -> None:
        require_one_of("method", self.method, ("percentile", "bca"))
        if self.resamples < 0:
            raise UsageError(f"resamples={self.resamples} is negative; 0 means no intervals")
        if not 0 < self.confidence < 1:
            raise UsageError(f"confidence={self.confidence} is not between 0 and 1, as 0.95 is")

    def replicates(self, terms: Sequence[Terms]) -> list[Floats]:
        """The value of each metric in each resample: one ``(resamples,)`` array per metric."""
        values = [np.empty(self.resamples) for _ in terms]
        at = 0
        for weights in resampling_weights(len(terms[0].terms), self.resamples, self.seed):
            for value, term in zip(values, terms, strict=True):
                value[at : at + len(weights)] = term.combine(weights @ term.terms)
            at += len(weights)
        return values

    def interval(self, value: float, replicates: Floats, left_out: Floats) -> tuple[float, float]:
        """The interval of ``value``; resamples in which the metric has no value are left out.

        Args:
            value: The metric over all images.
            replicates: ``(resamples,)``, its values in the resamples.
            left_out: ``(N,)``, its values without one image; read by ``"bca"`` only.
        """
        finite = replicates[np.isfinite(replicates)]
        if np.isnan(value) or finite.size == 0:
            return float("nan"), float("nan")
        tail = (1 - self.confidence) / 2
        levels = (tail, 1 - tail)
        if self.method == "bca":
            levels = _bca_levels(levels, value, finite, left_out)
        low, high = np.quantile(finite, levels)
        return float(low), float(high)

    def leave_one_out(self, term: Terms) -> Floats:
        """The values without one image, for ``"bca"``; empty for other methods."""
        if self.method != "bca":
            return np.empty(0)
        rows = max(1, CHUNK // term.terms.shape[1])
        starts = range(0, len(term.terms), rows)
        parts = [term.combine(term.total - term.terms[at : at + rows]) for at in starts]
        return np.concatenate(parts)


def resampling_weights(n_images: int, resamples: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """Yield blocks ``(b, N)``: how often each image was drawn in each of b resamples.

    >>> [block] = resampling_weights(5, 2, seed=0)
    >>> block.shape, block.sum(axis=1)
    ((2, 5), array([5., 5.]))
    """
    generator = np.random.default_rng(derive_seed(seed, "bootstrap", n_images))
    block = max(1, CHUNK // n_images)
    for start in range(0, resamples, block):
        rows = min(block, resamples - start)
        drawn = generator.integers(0, n_images, size=(rows, n_images))
        drawn += np.arange(rows)[:, None] * n_images
        counts = np.bincount(drawn.ravel(), minlength=rows * n_images)
        yield counts.reshape(rows, n_images).astype(np.float64)


def _bca_levels(
    levels: tuple[float, float], value: float, replicates: Floats, left_out: Floats
) -> tuple[float, float]:
    below = np.mean(replicates < value) + np.mean(replicates == value) / 2
    # A value outside all its replicates would need an infinite correction; stop at half a resample.
    margin = 0.5 / replicates.size
    bias = _NORMAL.inv_cdf(float(np.clip(below, margin, 1 - margin)))
    acceleration = _acceleration(left_out[np.isfinite(left_out)])

    def corrected(level: float) -> float:
        z = bias + _NORMAL.inv_cdf(level)
        return _NORMAL.cdf(bias + z / (1 - acceleration * z))

    return corrected(levels[0]), corrected(levels[1])


def _acceleration(left_out: Floats) -> float:
    if left_out.size == 0:
        return 0.0
    spread = left_out.mean() - left_out
    scale = np.sum(spread**2) ** 1.5
    return float(np.sum(spread**3) / (6 * scale)) if scale > 0 else 0.0
