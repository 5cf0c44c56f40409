"""Intervals of a mean over seeds, when all seeds are tested on the same images.

Seed s and image n have the contribution μ + aₛ + bₙ + eₛₙ: random effects of the network that was
trained, of the image, and of both. Student's t over seeds takes aₛ for the only error and is
about these images alone; the crossed interval is about other networks and other images.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from shiftbench.inference.sample import Sample
from shiftbench.inference.student import t_quantile

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Deviation:
    """The standard error of a mean over seeds, in its parts.

    Attributes:
        seeds: Variance of the mean over seeds as Student's t has it, V(values) / S.
        images: By set of images, variance of the mean of the images' contributions, averaged over
            seeds, V / N.
        both: By set of images, what of either is their interaction, V(residuals) / (S N).
        degrees: Of freedom by Satterthwaite (Biometrics Bulletin 2, 1946).
    """

    seeds: float
    images: dict[str, float]
    both: dict[str, float]
    degrees: float

    @property
    def variance(self) -> float:
        """Of the mean; the interaction is in both of the others, so it is subtracted once."""
        shared = sum(self.images.values()) - sum(self.both.values())
        return max(self.seeds + shared, self.seeds)

    @property
    def error(self) -> float:
        """The standard error."""
        return math.sqrt(self.variance)


def deviation(sample: Sample) -> Deviation:
    """Return the standard error of the mean of a sample of two seeds or more.

    The analysis of variance of two crossed random factors (Searle, Casella & McCulloch, Variance
    components, 1992, ch. 4); with several sets of images, one for each.
    """
    count = len(sample.values)
    seeds = float(np.var(sample.values, ddof=1)) / count
    images: dict[str, float] = {}
    both: dict[str, float] = {}
    below = seeds**2 / (count - 1)
    for key, rows in sample.images.items():
        number = rows.shape[1]
        means = rows.mean(axis=0)
        images[key] = float(np.var(means, ddof=1)) / number
        residuals = rows - means - rows.mean(axis=1, keepdims=True) + rows.mean()
        degrees = (count - 1) * (number - 1)
        both[key] = float(np.sum(residuals**2)) / degrees / (count * number)
        below += images[key] ** 2 / (number - 1) + both[key] ** 2 / degrees
    found = Deviation(seeds, images, both, 0.0)
    degrees = found.variance**2 / below if below > 0 else count - 1.0
    return Deviation(seeds, images, both, max(degrees, count - 1.0))


def crossed_interval(sample: Sample, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return the interval of the mean over networks and images; NaN where nothing varies.

    Args:
        sample: Of two seeds or more.
        confidence: Chance that the interval holds the truth.

    >>> rng = np.random.default_rng(0)
    >>> rows = rng.normal(size=(3, 400)) + rng.normal(size=400)
    >>> centred = rows - rows.mean(axis=1, keepdims=True)
    >>> low, high = crossed_interval(Sample(rows.mean(axis=1), {"test": centred}))
    >>> low < 0 < high
    True
    """
    found = deviation(sample)
    if found.variance == 0:
        return math.nan, math.nan
    half = t_quantile(confidence, found.degrees) * found.error
    return sample.mean - half, sample.mean + half


def seeds_interval(sample: Sample, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return Student's t-interval over seeds, about these images alone.

    Seeds that agree to the last digit say nothing of how far others would be off: NaN.
    """
    return crossed_interval(Sample(sample.values, {}, sample.seeds), confidence)
