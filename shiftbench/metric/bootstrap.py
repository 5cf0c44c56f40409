"""Cluster bootstrap: images are resampled, never shifts, as the shifts of an image are correlated.

All metrics of a table, and both tables of a comparison, share the same resampled images.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shiftbench.errors import UsageError, require_one_of
from shiftbench.metric.base import Floats, Terms
from shiftbench.seeds import derive_seed

CHUNK = 2_000_000  # resampled images per block: about 50 MB
BCA, PERCENTILE = "bca", "percentile"


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """Options of the intervals.

    Attributes:
        resamples: Number of resamples of the images; 0 for no intervals.
        seed: Seed of the draws.
        confidence: Nominal coverage of the intervals.
        method: ``"bca"`` (bias-corrected and accelerated, Efron 1987) or ``"percentile"``, for
            bootstrap intervals (see :func:`~shiftbench.metric.interval.interval_of`).
    """

    resamples: int = 1000
    seed: int = 0
    confidence: float = 0.95
    method: str = BCA

    def __post_init__(self) -> None:
        require_one_of("method", self.method, (BCA, PERCENTILE))
        if self.resamples < 0:
            raise UsageError(f"resamples={self.resamples} is negative; 0 means no intervals")
        if not 0 < self.confidence < 1:
            raise UsageError(f"confidence={self.confidence} is not between 0 and 1, as 0.95 is")

    @property
    def tail(self) -> float:
        """Nominal probability of a miss on each side of the interval."""
        return (1 - self.confidence) / 2

    def sums(self, terms: Sequence[Terms]) -> list[Floats]:
        """Return the terms summed over each resample, one ``(resamples, T)`` per metric."""
        widths = np.cumsum([term.terms.shape[1] for term in terms])
        columns = np.hstack([term.terms for term in terms])
        # All metrics at once: one matrix product instead of many narrow ones.
        blocks = [
            weights @ columns
            for weights in resampling_weights(len(columns), self.resamples, self.seed)
        ]
        sums = np.concatenate(blocks) if blocks else np.empty((0, columns.shape[1]))
        return np.split(sums, widths[:-1], axis=1)


def resampling_weights(n_images: int, resamples: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """Yield blocks ``(b, N)`` of the multiplicity of each image in b resamples.

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
