"""Shift protocols: what moves, by which offsets, and what fills uncovered pixels.

A protocol is a frozen dataclass derived from :class:`ShiftProtocol`. It defines two methods:
``plan`` returns the shifts under which every image is tested, and ``views`` returns the shifted
images. A yaml of another name for the same class is a preset that repeats a published evaluation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shiftbench.lazy import lazy_attributes

if TYPE_CHECKING:
    from shiftbench.shift.base import ShiftProtocol as ShiftProtocol
    from shiftbench.shift.plan import Plan as Plan
    from shiftbench.shift.sampling import AxisSampling as AxisSampling
    from shiftbench.shift.sampling import PeerSampling as PeerSampling
    from shiftbench.shift.sampling import Sampling as Sampling
    from shiftbench.shift.sampling import takes_sampling as takes_sampling

_HOMES = {
    "AxisSampling": "sampling",
    "PeerSampling": "sampling",
    "Plan": "plan",
    "Sampling": "sampling",
    "ShiftProtocol": "base",
    "takes_sampling": "sampling",
}


__getattr__ = lazy_attributes("shiftbench.shift", _HOMES)
