"""Simultaneous intervals of several networks that share their test images."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from shiftbench.inference.crossed import CONFIDENCE, Deviation
from shiftbench.inference.sample import Floats
from shiftbench.seeds import derive_seed

DRAWS = 20_000


def simultaneous_confidence(
    found: Sequence[Deviation],
    confidence: float = CONFIDENCE,
    seed: int = 0,
    draws: int = DRAWS,
) -> float:
    """Return the confidence per network at which all intervals hold simultaneously.

    The smallest p-value of Westfall & Young (Resampling-based multiple testing, 1993, sec. 2.3),
    from draws of the errors: errors due to images are drawn jointly, since networks share their
    images; those due to seeds are independent, and heavy-tailed since seeds are few.

    Args:
        found: The standard errors of the networks' numbers; those without error are ignored.
        confidence: Probability that all intervals cover their true values.
        seed: Of the draws.
        draws: Number of draws.

    Returns:
        A number between ``confidence`` (one network) and that of Bonferroni.
    """
    known = [one for one in found if one.variance > 0]
    if len(known) < 2:
        return confidence
    generator = np.random.default_rng(derive_seed(seed, "simultaneous", len(known)))
    drawn = _image_errors(known, generator, draws)
    for j, one in enumerate(known):
        drawn[:, j] += math.sqrt(one.carried) * generator.normal(size=draws)
        own = max(one.variance - one.over_images - one.carried, 0.0)
        drawn[:, j] += math.sqrt(own) * _students(one.degrees, generator, draws)
    level = float(np.quantile(_least_p_values(np.abs(drawn), 1 - confidence), 1 - confidence))
    bonferroni = (1 - confidence) / len(known)
    return 1 - min(max(level, bonferroni), 1 - confidence)


def _students(degrees: float, generator: np.random.Generator, draws: int) -> Floats:
    """Return draws of errors divided by drawn standard errors."""
    if math.isinf(degrees):
        return generator.normal(size=draws)
    return generator.standard_t(degrees, size=draws)


def _least_p_values(drawn: Floats, most: float) -> Floats:
    """Return the smallest p-value of each row, 1 if it is above ``most``.

    P-values are ranks among a network's own draws, for any degrees of freedom. Only the outermost
    draws are ranked: for many networks, sorting all would dominate the run time.
    """
    number = math.ceil(most * len(drawn)) + 1
    least = np.ones(len(drawn))
    for column in drawn.T:
        outer = np.argpartition(-column, min(number, len(column) - 1))[:number]
        outer = outer[np.argsort(-column[outer])]
        least[outer] = np.minimum(least[outer], np.arange(1, number + 1) / len(drawn))
    return least


def _image_errors(found: Sequence[Deviation], generator: np.random.Generator, draws: int) -> Floats:
    """Return ``(draws, J)`` errors of the networks' numbers that come from the images."""
    drawn = np.zeros((draws, len(found)))
    for key in dict.fromkeys(key for one in found for key in one.images):
        at = [j for j, one in enumerate(found) if key in one.images]
        means = np.array([found[j].images[key] for j in at])
        number = means.shape[1]
        covariance = means @ means.T / (number * (number - 1))
        values, vectors = np.linalg.eigh(covariance)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        errors = generator.normal(size=(draws, len(at))) @ root.T
        if len(at) == len(found):
            drawn += errors
        else:
            drawn[:, at] += errors
    return drawn
