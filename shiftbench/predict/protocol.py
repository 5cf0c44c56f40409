"""What the engines need of a shift protocol."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Protocol

from torch import Tensor

from shiftbench.shift.plan import Plan


class ShiftProtocol(Protocol):
    """Which shifts, and how an image is shifted; see :mod:`shiftbench.shift`."""

    axes: tuple[str, ...]

    def plan(self, n_images: int, image_size: tuple[int, int]) -> Plan:
        """Return which shifts every image is shown."""
        ...

    def views(self, images: Tensor, shifts: Tensor, mean: Sequence[float] | None) -> Tensor:
        """Return image n moved by ``shifts[n]``."""
        ...


def describe(protocol: Any) -> dict[str, Any]:
    """Return a protocol's name and every field, for the table's meta."""
    return {"name": type(protocol).__name__.lower(), **dataclasses.asdict(protocol)}
