"""Interval of a mean over pairs of images, a U-statistic of degree two."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from shiftbench.inference.student_t import t_quantile
from shiftbench.metric.proportion import least_share, unseen_share

MOST_DEGREES = 1000  # of freedom; above, Student's t is within 0.1 % of the normal


@dataclass(frozen=True, slots=True)
class PairSpread:
    """Sampling variation of a mean over pairs of images.

    Let a(n, m) be the agreement of images n and m. The mean over pairs has the variance
    2 [2 (N − 2) V₁ + V₂] / (N (N − 1)) (Hoeffding 1948), where V₁ is the variance over images of
    their expected agreement with others and V₂ the variance of a(n, m) over pairs. If all classes
    are equally frequent, V₁ = 0.

    Attributes:
        value: The mean over pairs.
        number: Number of images.
        of_images: The unbiased estimate of V₁, which can be negative.
        of_pairs: V₂.
        slope: Derivative of V₁ / (1 − value) with respect to the value, as the class frequencies
            become unequal; exact for two classes.
        largest: The share of the most frequent class.
        others: Number of images that are not assigned this class under every shift.
    """

    value: float
    number: int
    of_images: float
    of_pairs: float
    slope: float
    largest: float
    others: int

    @classmethod
    def of(
        cls, agree: np.ndarray, squares: float, *, alone: float, largest: float, others: int
    ) -> PairSpread:
        """Estimate the variances from the agreements.

        Args:
            agree: ``(N,)``, Σ_m a(n, m) over the other images.
            squares: Σ a(n, m)² over ordered pairs.
            alone: Mean agreement of two independently drawn views of one image.
            largest: See :class:`PairSpread`.
            others: See :class:`PairSpread`.
        """
        number, total = len(agree), float(agree.sum())
        pairs = number * (number - 1)
        value = total / pairs
        of_pairs = max(squares / pairs - value**2, 0.0)
        sharing = float(np.sum(agree**2)) - squares  # Σ a(n, m) a(n, l), three images
        of_images = 0.0
        if number > 3:
            apart = total**2 - 4 * sharing - 2 * squares  # Σ a(n, m) a(k, l), four images
            three, four = pairs * (number - 2), pairs * (number - 2) * (number - 3)
            of_images = sharing / three - apart / four
        # tr Σ² / tr Σ, where Σ is the covariance over images of their class frequencies.
        within, around = max(of_pairs - 2 * max(of_images, 0.0), 0.0), alone - value
        slope = within / (around * (1 - value)) if around > 0 and value < 1 else 0.0
        return cls(value, number, of_images, of_pairs, slope, largest, others)

    @property
    def curvature(self) -> float:
        """The standard deviation of the mean if V₁ = 0."""
        return math.sqrt(2 * self.of_pairs / (self.number * (self.number - 1)))

    def variance(self, value: float) -> float:
        """Return the variance of the mean if ``value`` is the true value."""
        own = self.of_images / (1 - self.value) + self.slope * (value - self.value)
        own = max(own, 0.0) * (1 - value)
        both = self.of_pairs * value * (1 - value) / (self.value * (1 - self.value))
        return 2 * (2 * (self.number - 2) * own + both) / (self.number * (self.number - 1))

    def interval(self, confidence: float) -> tuple[float, float]:
        """Return the values within t standard deviations, each with the variance that it implies.

        This is Wilson's interval for a share of pairs. If few images differ from all others, the
        upper end is derived from the Poisson distribution, as for a share of images.
        """
        t = t_quantile(confidence, min(self.number - 1, MOST_DEGREES))
        low, high = self._furthest(t, 0.0), self._furthest(t, 1.0)
        if least := least_share(self.others, self.number, confidence):
            other = least * (1 - self.largest) * self.number / self.others
            high = max(high, (1 - other) ** 2 + other**2)
        return low, high

    def _furthest(self, t: float, bound: float) -> float:
        inside, outside = self.value, bound
        for _ in range(60):
            middle = (inside + outside) / 2
            if (middle - self.value) ** 2 <= t**2 * self.variance(middle):
                inside = middle
            else:
                outside = middle
        return inside

    @property
    def all_agree(self) -> bool:
        """Whether all pairs have the same agreement."""
        return self.of_pairs <= 1e-12

    def exact(self, confidence: float) -> tuple[float, float]:
        """Return the possible values if the largest plausible share of images is unobserved.

        For the lower end, the unobserved images agree with no other image; for the upper end, all
        are assigned the most frequent class or, if no pair agrees, a class that was observed for at
        most one image.
        """
        unseen = unseen_share(self.number, confidence)
        low = (1 - unseen) ** 2 * self.value
        if self.value == 0:
            return low, unseen_share(self.number, confidence, seen=1) ** 2
        high = low + 2 * unseen * (1 - unseen) * self.largest + unseen**2
        return low, max(high, self.value)
