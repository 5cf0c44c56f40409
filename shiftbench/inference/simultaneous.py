"""Intervals of several networks that hold all at once, since they share their test images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shiftbench.inference.crossed import CONFIDENCE, Deviation, deviation
from shiftbench.inference.sample import Floats, Sample
from shiftbench.inference.student import t_quantile
from shiftbench.seeds import derive_seed

DRAWS = 20_000


@dataclass(frozen=True)
class Simultaneous:
    """Intervals that hold the truths of all networks at once.

    Attributes:
        low: ``(J,)``, lower ends; NaN where a number has no deviation.
        high: ``(J,)``, upper ends.
        confidence: Of each interval by itself, so that all together have what was asked for.
    """

    low: Floats
    high: Floats
    confidence: float


def simultaneous(
    samples: Sequence[Sample], confidence: float = CONFIDENCE, seed: int = 0
) -> Simultaneous:
    """Return simultaneous intervals of the means of J networks, each of two seeds or more.

    The least p-value of Westfall & Young (Resampling-based multiple testing, 1993, sec. 2.3), from
    draws of the errors: those of the images are joint, as networks that see the same images err
    together; those of the seeds are independent; every standard error is itself drawn.

    Args:
        samples: Of the networks.
        confidence: Chance that no interval misses its truth.
        seed: Of the draws.
    """
    found = [deviation(one) for one in samples]
    errors = np.array([one.error for one in found])
    known = [int(j) for j in np.flatnonzero(errors > 0)]
    ends = np.full((2, len(samples)), np.nan)
    each = confidence
    if len(known) > 1:
        each = _each([samples[j] for j in known], [found[j] for j in known], confidence, seed)
    for j in known:
        half = t_quantile(each, found[j].degrees) * errors[j]
        ends[:, j] = samples[j].mean - half, samples[j].mean + half
    return Simultaneous(ends[0], ends[1], each)


def _each(
    samples: Sequence[Sample], found: Sequence[Deviation], confidence: float, seed: int
) -> float:
    """Return the confidence of each interval by which all together have ``confidence``."""
    generator = np.random.default_rng(derive_seed(seed, "simultaneous", len(samples)))
    drawn = _image_errors(samples, generator)
    own = [max(one.seeds - sum(one.both.values()), 0.0) for one in found]
    drawn += np.sqrt(own) * generator.normal(size=drawn.shape)
    degrees = np.array([one.degrees for one in found])
    drawn /= np.sqrt(generator.chisquare(degrees, size=drawn.shape) / degrees)
    # By the rank among a network's own draws: its p-value, whatever its degrees of freedom.
    ranks = np.argsort(np.argsort(-np.abs(drawn), axis=0), axis=0)
    least = (ranks.min(axis=1) + 1) / DRAWS
    level = float(np.quantile(least, 1 - confidence))
    bonferroni = (1 - confidence) / len(samples)
    return 1 - min(max(level, bonferroni), 1 - confidence)


def _image_errors(samples: Sequence[Sample], generator: np.random.Generator) -> Floats:
    """Return ``(DRAWS, J)`` errors of the networks' means that come from the images."""
    drawn = np.zeros((DRAWS, len(samples)))
    for key in dict.fromkeys(key for one in samples for key in one.images):
        at = [j for j, one in enumerate(samples) if key in one.images]
        means = np.array([samples[j].images[key].mean(axis=0) for j in at])
        number = means.shape[1]
        covariance = means @ means.T / (number * (number - 1))
        values, vectors = np.linalg.eigh(covariance)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        drawn[:, at] += generator.normal(size=(DRAWS, len(at))) @ root.T
    return drawn
