"""Grids of listed values, e.g. angles, on any number of axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor

from shiftbench.shift.plan import Grid, Plan, nearest


@dataclass(frozen=True)
class Lattice(Grid):
    """Every combination of the listed values of several axes; offsets are places in these lists.

    Attributes:
        values: For each axis the values in order, the base view's among them.
        origin: Place of the base view's value on each axis; an offset of 0 is this value.
    """

    values: tuple[tuple[float, ...], ...] = ()
    origin: tuple[int, ...] = ()

    def pixels(self, index: Tensor) -> Tensor:
        """Return the shifts ``(..., A)`` float32, in the units of the axes, at ``index``."""
        places = self.offsets[index] + torch.tensor(self.origin)
        columns = [
            torch.tensor(listed, dtype=torch.float32)[place % len(listed)]
            for listed, place in zip(self.values, places.unbind(-1), strict=True)
        ]
        return torch.stack(columns, dim=-1)


def lattice(
    axes: Sequence[Sequence[float]], base: Sequence[float], is_closed: bool = False
) -> Lattice:
    """Return the grid of all combinations of the values, the base view first.

    One step leads to the next larger value of an axis. The base view's value has a place on its
    axis even if it is not listed; combinations with it are then not in the set of shifts.

    Args:
        axes: The values of each axis, in any order, each value once.
        base: The base view's value on each axis.
        is_closed: Whether the largest value is followed by the smallest, as angles on a circle.

    >>> lattice([(-90, 0, 90, 180)], (0,), is_closed=True).pixels(torch.arange(4)).flatten()
    tensor([  0., -90.,  90., 180.])
    """
    values = tuple(
        tuple(sorted({*map(float, axis), float(start)}))
        for axis, start in zip(axes, base, strict=True)
    )
    origin = tuple(axis.index(start) for axis, start in zip(values, base, strict=True))
    places = [
        sorted((listed.index(value) - start for value in axis), key=nearest)
        for axis, listed, start in zip(axes, values, origin, strict=True)
    ]
    offsets = torch.cartesian_prod(*map(torch.tensor, places)).reshape(-1, len(values))
    has_base = all(0 in axis for axis in places)
    if not has_base:
        offsets = torch.cat([torch.zeros(1, len(values), dtype=torch.long), offsets])
    period = tuple(map(len, values)) if is_closed and has_base else None
    return Lattice(offsets, period, 1, has_base, values, origin)


def with_step(plan: Plan, values: Sequence[float], unit: str, otherwise: str) -> Plan:
    """Return the plan with its meta's ``step``: what one step of the path changes, in words.

    Args:
        plan: The plan of a protocol whose steps lead to the next of ``values``.
        values: Values of the last axis.
        unit: What follows the number, e.g. ``°``.
        otherwise: The words if values are not evenly spaced.
    """
    ordered = sorted(values)
    gaps = {round(b - a, 6) for a, b in pairwise(ordered)}
    step = f"{gaps.pop():g}{unit}" if len(gaps) == 1 else otherwise
    return replace(plan, meta={**plan.meta, "step": step})
