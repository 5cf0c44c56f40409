"""Rewriting of external networks with their weights.

``circular`` makes every border wrap around; ``replace_downsampling`` replaces every downsampling
step by a pool. Both return a copy and a list of the changes.
"""

from shiftbench.surgery.borders import circular
from shiftbench.surgery.downsampling import Replaced, replace_downsampling

__all__ = ["Replaced", "circular", "replace_downsampling"]
