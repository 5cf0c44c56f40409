"""Changes to networks that somebody else built, weights kept.

``circular`` makes every border wrap around; ``replace_downsampling`` does every downsampling step
as a pool says. Both return a copy, and what they changed.
"""

from shiftbench.surgery.borders import circular
from shiftbench.surgery.downsampling import Replaced, replace_downsampling

__all__ = ["Replaced", "circular", "replace_downsampling"]
