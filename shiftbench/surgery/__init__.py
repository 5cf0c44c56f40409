"""Rewriting of external networks with their weights.

``circular`` makes every border wrap around; ``replace_downsampling`` replaces every downsampling
step by a pool; ``anchored`` rolls feature maps in front of layers on a fixed grid. All return a
copy and a list of the changes.
"""

from shiftbench.surgery.anchoring import anchored
from shiftbench.surgery.borders import circular
from shiftbench.surgery.downsampling import Replaced, replace_downsampling

__all__ = ["Replaced", "anchored", "circular", "replace_downsampling"]
