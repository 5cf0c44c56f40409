"""Comparison of logits: their scale, their largest change, and the tolerance for rounding.

Three cases need care in a comparison: infinite logits (a masked class, an overflow); classes masked
with a large negative number, whose rounding error may exceed every other logit; and a constant
that is common to all classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

# A gap more than JUMP times as wide as the spread of the classes above it separates masked ones ...
JUMP = 1000.0
NEVER = 104.0  # ... if it is wider than this: the probability below it is then 0 in float32.
SAFELY = 0.1  # share of the gap beyond which a class counts as masked in other views as well


@dataclass(frozen=True)
class Rounding:
    """Rounding of the arithmetic of a network.

    Attributes:
        tolerance: Largest change of a logit that counts as no change, as a share of the scale.
        floor: Smallest scale, as a share of the largest absolute logit: a large common constant
            reduces the precision of the differences between classes.
        engines: Largest difference between two summation orders, as a share of the scale.
    """

    tolerance: float = 1e-5
    floor: float = 0.05  # times 1e-5: four units in the last place of float32
    engines: float = 1e-4

    @classmethod
    def of(cls, dtype: torch.dtype, tf32: bool = False) -> Rounding:
        """Return the rounding of a network that computes in ``dtype``."""
        if dtype == torch.float64:
            return cls(floor=1e-10)
        if dtype == torch.float32 and not tf32:
            return cls()
        unit = 2.0**-10 if tf32 else torch.finfo(dtype).eps
        # Sums are accumulated in float32 and rounded once per layer, by at most one unit.
        return cls(tolerance=unit, floor=1.0, engines=8 * unit)


FLOAT32 = Rounding()


def cutoff(logits: Tensor) -> Tensor:
    """Return the distance to the largest logit beyond which a class is masked; inf if none is.

    ``(..., C) -> (...)``. The finite logits are sorted. Masked classes lie below a gap that is more
    than 1,000 times as wide as the spread of the classes above it, and so wide that their softmax
    probability is 0. Classes below a narrower gap may be the answer to another view, or saturated
    outputs of a sigmoid or a tanh.
    """
    none = torch.full(logits.shape[:-1], torch.inf, dtype=logits.dtype, device=logits.device)
    if logits.shape[-1] < 3:
        return none
    finite = torch.where(logits.isfinite(), logits, -torch.inf)
    ordered = finite.sort(-1, descending=True).values
    behind = ordered[..., :1] - ordered
    above, below = behind[..., 1:-1], behind[..., 2:]
    gap = (below > NEVER) & (below > JUMP * above) & below.isfinite()
    ratio = torch.where(gap, below / above, -torch.inf)
    widest = ratio.argmax(-1, keepdim=True)
    return torch.where(gap.any(-1), SAFELY * below.gather(-1, widest).squeeze(-1), none)


def masked(logits: Tensor, behind: Tensor) -> Tensor:
    """Return which ``logits (..., C)`` are below the largest by more than ``behind (...)``."""
    finite = torch.where(logits.isfinite(), logits, -torch.inf)
    far: Tensor = finite.amax(-1, keepdim=True) - logits > behind[..., None]
    return far


def scale(logits: Tensor, rounding: Rounding) -> Tensor:
    """Return the scale of the logits, ``(..., C) -> (...)``, without masked and infinite ones.

    The scale is the range of the logits over the classes, but at least ``rounding.floor`` times the
    largest absolute logit; 0 if no logit is finite.
    """
    kept = logits.isfinite() & ~masked(logits, cutoff(logits))
    highest = torch.where(kept, logits, -torch.inf).amax(-1)
    lowest = torch.where(kept, logits, torch.inf).amin(-1)
    largest = torch.where(kept, logits, 0).abs().amax(-1)
    spread = torch.where(kept.any(-1), highest - lowest, 0)
    return torch.maximum(spread, rounding.floor * largest)


def change(logits: Tensor, base: Tensor) -> Tensor:
    """Return the largest absolute difference over classes, ``(N, K, C), (N, 1, C) -> (N, K)``.

    Equal infinite logits differ by 0, a finite and an infinite one by inf. Classes that are masked
    in both views, by the cutoff of ``base``, do not count. NaN if any logit is NaN.
    """
    difference = (logits - base).abs()
    behind = cutoff(base)
    if not bool(difference.sum().isfinite()):
        difference.masked_fill_(logits == base, 0)
    if bool(behind.isfinite().any()):
        difference.masked_fill_(masked(logits, behind) & masked(base, behind), 0)
    return difference.amax(-1)
