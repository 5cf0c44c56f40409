"""What it means that logits are equal: how far they spread, how far they moved, what rounding is.

Three kinds of logits must not disturb a comparison: infinite ones (a class that is masked, an
overflow), classes that are masked with a large negative number, whose rounding alone is larger
than every other logit, and a constant that all classes share.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

# A gap that is so many times the spread of the classes above it separates masked ones ...
JUMP = 1000.0
NEVER = 104.0  # ... if classes so far behind the top have probability 0 in float32
SAFELY = 0.1  # of the gap: classes that are further behind than this in another view are masked too


@dataclass(frozen=True)
class Rounding:
    """What the arithmetic of a network can resolve.

    Attributes:
        tolerance: Largest change of a logit that counts as none, as a share of the scale.
        floor: Smallest scale, as a share of the largest absolute logit: a common constant takes
            digits away from the differences between classes.
        engines: Largest difference between two orders of the same sums, as a share of the scale.
    """

    tolerance: float = 1e-5
    floor: float = 0.05  # 1e-5 of it are four units in the last place of float32
    engines: float = 1e-4

    @classmethod
    def of(cls, dtype: torch.dtype, tf32: bool = False) -> Rounding:
        """Return the rounding of a network that computes in ``dtype``."""
        if dtype == torch.float64:
            return cls(floor=1e-10)
        if dtype == torch.float32 and not tf32:
            return cls()
        unit = 2.0**-10 if tf32 else torch.finfo(dtype).eps
        # Sums are kept in float32 and rounded once per layer: one unit of the result.
        return cls(tolerance=unit, floor=1.0, engines=8 * unit)


FLOAT32 = Rounding()


def cutoff(logits: Tensor) -> Tensor:
    """Return how far behind the top a class is masked, ``(..., C) -> (...)``; inf where none is.

    The finite logits are sorted. Masked classes lie behind a gap that is more than 1,000 times as
    wide as the spread of the classes above it, and so wide that the softmax cannot tell it from
    infinity. Classes behind a narrower one may be the answer to another view, or saturated answers
    of a sigmoid or a tanh.
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
    """Return which of ``logits (..., C)`` are further behind the top than ``behind (...)``."""
    finite = torch.where(logits.isfinite(), logits, -torch.inf)
    far: Tensor = finite.amax(-1, keepdim=True) - logits > behind[..., None]
    return far


def scale(logits: Tensor, rounding: Rounding) -> Tensor:
    """Return by how much classes differ, ``(..., C) -> (...)``, masked and infinite ones left out.

    It is the spread of the logits, at least ``rounding.floor`` times the largest absolute one; 0
    where no logit is finite.
    """
    kept = logits.isfinite() & ~masked(logits, cutoff(logits))
    highest = torch.where(kept, logits, -torch.inf).amax(-1)
    lowest = torch.where(kept, logits, torch.inf).amin(-1)
    largest = torch.where(kept, logits, 0).abs().amax(-1)
    spread = torch.where(kept.any(-1), highest - lowest, 0)
    return torch.maximum(spread, rounding.floor * largest)


def change(logits: Tensor, base: Tensor) -> Tensor:
    """Return the largest absolute difference of a class, ``(N, K, C), (N, 1, C) -> (N, K)``.

    Equal infinite logits differ by 0, a finite and an infinite one by inf. Classes that are masked
    in both views do not count; which those are is decided by ``base``. NaN where a logit is.
    """
    difference = (logits - base).abs()
    behind = cutoff(base)
    if not bool(difference.sum().isfinite()):
        difference.masked_fill_(logits == base, 0)
    if bool(behind.isfinite().any()):
        difference.masked_fill_(masked(logits, behind) & masked(base, behind), 0)
    return difference.amax(-1)
