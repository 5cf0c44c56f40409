"""Intervals of a mean over seeds, when all seeds are tested on the same images.

Seed s and image n have the contribution μ + aₛ + bₙ + eₛₙ: random effects of the network that was
trained, of the image, and of both. Student's t over seeds takes aₛ for the only error and is
about these images alone; the crossed interval is about other networks and other images.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from shiftbench.inference.sample import Floats, Sample
from shiftbench.inference.student_t import t_quantile

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Deviation:
    """The standard error of a number, in its parts.

    Attributes:
        seeds: Variance of the mean over seeds as Student's t has it, V(values) / S; 0 for one seed.
            For a mean over networks that are a sample: that of the mean over these.
        images: By set of test images, ``(N,)``: what each image contributes, averaged over seeds.
        both: Part of ``seeds`` and of the images' variance that is the interaction of the two,
            V(residuals) / (S N).
        degrees: Of freedom of ``seeds``, S − 1.
        carried: Variance over images that are not known one by one.
    """

    seeds: float
    images: Mapping[str, Floats] = field(default_factory=dict)
    both: float = 0.0
    degrees: float = math.inf
    carried: float = 0.0

    @property
    def over_images(self) -> float:
        """Variance that the images bring, V / N, summed over the sets."""
        return sum(_variance_of_mean(means) for means in self.images.values())

    @property
    def variance(self) -> float:
        """Of the mean; the interaction is in both of the others, so it is subtracted once.

        Neither seeds nor images vary less than the interaction makes them: two seeds that agree by
        chance do not make the others certain.
        """
        return max(self.seeds, self.both) + max(self.over_images - self.both, 0.0) + self.carried

    @property
    def error(self) -> float:
        """The standard error."""
        return math.sqrt(self.variance)

    def critical(self, confidence: float = CONFIDENCE) -> float:
        """How many standard errors half of the interval's width is.

        Quantiles of Student's t, of the seeds' degrees of freedom and of the images', weighted by
        their shares of the variance (Cochran, Biometrics 20, 1964). Satterthwaite's one quantile
        fails in the tails that simultaneous intervals need. Simulated for three seeds at a level of
        .994: where they weigh as much as the images it holds .989, five times as much .975, and 30
        times .973; this one .998, .994 and .992.
        """
        few = min((len(one) for one in self.images.values()), default=0) - 1
        of_images = t_quantile(confidence, few if few > 0 else math.inf)
        share = self.seeds / self.variance
        return share * t_quantile(confidence, self.degrees) + (1 - share) * of_images

    def half(self, confidence: float = CONFIDENCE) -> float:
        """Half of the interval's width; NaN where nothing varies."""
        return self.critical(confidence) * self.error if self.variance else math.nan


def _variance_of_mean(numbers: Floats) -> float:
    return float(np.var(numbers, ddof=1)) / len(numbers) if len(numbers) > 1 else 0.0


def deviation(sample: Sample) -> Deviation:
    """Return the standard error of the mean of a sample.

    The analysis of variance of two crossed random factors (Searle, Casella & McCulloch, Variance
    components, 1992, ch. 4), with one factor of images for each set of them. One seed has the
    error of the images alone.
    """
    count = len(sample.values)
    means = {key: np.asarray(rows.mean(axis=0)) for key, rows in sample.images.items()}
    if count == 1:
        return Deviation(0.0, means)
    seeds = float(np.var(sample.values, ddof=1)) / count
    both = 0.0
    for key, rows in sample.images.items():
        number = rows.shape[1]
        residuals = rows - means[key] - rows.mean(axis=1, keepdims=True) + rows.mean()
        both += float(np.sum(residuals**2)) / ((count - 1) * (number - 1)) / (count * number)
    return Deviation(seeds, means, both, count - 1.0)


def crossed_interval(sample: Sample, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return the interval of the mean over networks and images; NaN where nothing varies.

    Args:
        sample: Of one seed or more.
        confidence: Chance that the interval holds the truth.

    >>> rng = np.random.default_rng(0)
    >>> rows = rng.normal(size=(3, 400)) + rng.normal(size=400)
    >>> centred = rows - rows.mean(axis=1, keepdims=True)
    >>> low, high = crossed_interval(Sample(rows.mean(axis=1), {"test": centred}))
    >>> low < 0 < high
    True
    """
    half = deviation(sample).half(confidence)
    return sample.mean - half, sample.mean + half


def seeds_interval(sample: Sample, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return Student's t-interval over seeds, about these images alone.

    Seeds that agree to the last digit say nothing of how far others would be off: NaN.
    """
    return crossed_interval(Sample(sample.values, {}, sample.seeds), confidence)
