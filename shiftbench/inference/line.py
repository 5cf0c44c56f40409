"""A line through networks, and how far each lies above it: y beyond what x explains."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from shiftbench.inference.sample import Floats


@dataclass(frozen=True)
class Line:
    """The least-squares line of y on x through some networks.

    Attributes:
        slope: Change of y per unit of x; NaN if fewer than two networks differ in x.
        x: Mean of x over these networks.
        y: Mean of y.
    """

    slope: float
    x: float
    y: float

    @classmethod
    def through(cls, x: Floats, y: Floats) -> Line:
        """Return the line through points ``x (M,)``, ``y (M,)``.

        >>> line = Line.through(np.array([0.0, 1.0, 2.0]), np.array([1.0, 3.0, 5.0]))
        >>> round(line.slope, 9), round(float(line.at(np.array(4.0))), 9)
        (2.0, 9.0)
        """
        if len(x) < 2 or np.ptp(x) == 0:
            return cls(math.nan, math.nan, math.nan)
        return cls(float(np.polyfit(x, y, 1)[0]), float(x.mean()), float(y.mean()))

    def at(self, x: Floats) -> Floats:
        """Return the line's y at ``x``."""
        return self.y + self.slope * (x - self.x)


def residual_influences(
    x: Floats, y: Floats, on: np.ndarray, influence_x: Floats, influence_y: Floats
) -> Floats:
    """Return the influence of every image on the residual of every network, ``(M, N)``.

    An image moves x and y of a network and, through those on the line, its slope and its means;
    this is the derivative of ``y − line.at(x)`` in all of them.

    Args:
        x: ``(M,)``, e.g. the accuracies of the networks.
        y: ``(M,)``, e.g. their consistencies.
        on: ``(M,)`` bool, which networks the line goes through.
        influence_x: ``(M, N)``, the influence of every image on each x.
        influence_y: ``(M, N)``, likewise for y.
    """
    line = Line.through(x[on], y[on])
    mean_x, mean_y = influence_x[on].mean(axis=0), influence_y[on].mean(axis=0)
    far_x, far_y = x[on] - line.x, y[on] - line.y
    # slope = Σ far_x far_y / Σ far_x²
    rise = far_y @ (influence_x[on] - mean_x) + far_x @ (influence_y[on] - mean_y)
    spread = 2 * far_x @ (influence_x[on] - mean_x)
    slope = (rise - line.slope * spread) / np.sum(far_x**2)
    moved = influence_y - mean_y - line.slope * (influence_x - mean_x)
    influences: Floats = moved - slope * (x - line.x)[:, None]
    return influences
