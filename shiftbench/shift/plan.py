"""The shifts of an image: all offsets, a path, random draws, or the draws of a publication."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from shiftbench.errors import UsageError
from shiftbench.seeds import derive_seed
from shiftbench.shift.peer import PEERS

PATHS = {
    "diagonal": (1, 1),
    "reverse_diagonal": (-1, -1),
    "horizontal": (0, 1),
    "vertical": (1, 0),
}


@dataclass(frozen=True)
class Plan:
    """The columns of a prediction table; column 0 is the base view.

    Attributes:
        shifts: ``(K, A)``, or ``(N, K, A)`` if every image has its own shifts.
        sampled: ``(K,)`` bool, whether a column belongs to the set of tested shifts.
        previous: ``(K,)``, the column one step earlier on the path, −1 if there is none.
        exhaustive: Whether the set contains every shift of the protocol.
        meta: Further information for metrics, as plain values; added to the table's metadata.
    """

    shifts: Tensor
    sampled: Tensor
    previous: Tensor
    exhaustive: bool
    meta: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.sampled)

    def rows(self, start: int, stop: int) -> Tensor:
        """Return the shifts ``(stop - start, K, A)`` of images ``start`` to ``stop``."""
        if self.shifts.ndim == 2:
            return self.shifts.expand(stop - start, -1, -1)
        return self.shifts[start:stop]


@dataclass(frozen=True)
class Grid:
    """Every offset of a protocol, in integer steps of 1/``per_pixel`` px; the first is 0.

    Attributes:
        offsets: ``(K, A)`` integers, one per axis of the protocol, e.g. (dy, dx); ``offsets[0]`` is
            0 on every axis.
        period: Steps after which each axis wraps around, e.g. ``(H, W)``; None if the grid is
            bounded.
        per_pixel: Steps of the grid per pixel.
        has_base: Whether the offset 0 belongs to the set of shifts; if not, ``offsets[0]`` serves
            as the base view only.
    """

    offsets: Tensor
    period: tuple[int, ...] | None = None
    per_pixel: int = 1
    has_base: bool = True

    def __len__(self) -> int:
        return len(self.offsets)

    @property
    def first(self) -> int:
        """Index in ``offsets`` at which the set of shifts begins."""
        return 0 if self.has_base else 1

    def pixels(self, index: Tensor) -> Tensor:
        """Return the shifts ``(..., A)``, in pixels, of the offsets at ``index``."""
        offsets = self.offsets[index]
        return offsets if self.per_pixel == 1 else offsets / self.per_pixel

    def find(self, offsets: Tensor) -> Tensor:
        """Return the indices ``(K,)`` of ``offsets (K, A)`` in the set, −1 if not in it."""
        places = enumerate(self.offsets[self.first :].tolist(), self.first)
        index = {self._key(offset): i for i, offset in places}
        return torch.tensor([index.get(self._key(offset), -1) for offset in offsets.tolist()])

    def successors(self, step: tuple[int, ...]) -> Tensor:
        """Return for every offset the index ``(K,)`` of the one ``step`` further, −1 if none."""
        found = self.find(self.offsets + torch.tensor(step) * self.per_pixel)
        found[: self.first] = -1
        return found

    def _key(self, offset: Sequence[int]) -> tuple[int, ...]:
        if self.period is None:
            return tuple(offset)
        return tuple(place % size for place, size in zip(offset, self.period, strict=True))


def sequence(grid: Grid, steps: int, step: tuple[int, ...], protocol: str) -> Grid:
    """Return the offsets of a grid on a path around the base view, the base view first.

    Args:
        grid: Every offset of the protocol.
        steps: Number of steps of the path.
        step: One step, one number per axis, e.g. (dy, dx) in pixels.
        protocol: Name of the protocol, for the error message.

    Raises:
        UsageError: If the path leaves the grid.
    """
    too_long = UsageError(
        f"shift.{protocol}.sampling=path with steps={steps} does not fit its offsets; "
        "allowed: 1 to as many steps as the image can take along the path"
    )
    if not 1 <= steps < len(grid):  # checked before memory is allocated
        raise too_long
    ahead = sorted(range(-(steps // 2), steps - steps // 2 + 1), key=nearest)
    offsets = torch.tensor(ahead)[:, None] * torch.tensor(step) * grid.per_pixel
    if bool((grid.find(offsets) < 0).any()):
        raise too_long
    return replace(grid, offsets=offsets, period=None, has_base=True)


def replayed(n_images: int, grid: Grid, name: str, batch: int | None, seed: int) -> Plan:
    """Return the base view and the views that a publication drew, in the order of the draws.

    Args:
        n_images: Number of images.
        grid: Offsets are drawn from its range.
        name: The publication, a key of :data:`~shiftbench.shift.peer.PEERS`.
        batch: Number of images that share a draw; None is the published number.
        seed: Seed of the generator that the publication used.
    """
    peer = PEERS[name]
    batch = batch or peer.batch
    offsets = grid.offsets[grid.first :]
    low, high = offsets.amin(0), offsets.amax(0)
    raw = torch.from_numpy(peer.replay(n_images, batch, (high - low + 1).tolist(), seed))
    moved = high - raw if peer.window else low + raw
    shifts = torch.cat([torch.zeros(n_images, 1, 2, dtype=torch.long), moved], dim=1)
    sampled = torch.ones(shifts.shape[1], dtype=torch.bool)
    sampled[0] = False
    meta = {"peer": {"name": name, "batch": batch, **peer.meta}}
    return Plan(shifts, sampled, torch.full(sampled.shape, -1), exhaustive=False, meta=meta)


def drawn(
    n_images: int, grid: Grid, step: tuple[int, ...], numbers: tuple[int, int, int], protocol: str
) -> Plan:
    """Return random offsets for every image, and the neighbours of some of them on the path.

    Columns: the base view, the draws, the starting points of steps if the draws cannot serve as
    such, and the end points of steps.

    Args:
        n_images: Number of images.
        grid: Every offset of the protocol.
        step: One step of the path, one number per axis, e.g. (dy, dx) in pixels.
        numbers: Draws per image, steps per image, and the seed.
        protocol: Name of the protocol; every protocol has its own random stream.
    """
    draws_per_image, most_steps, seed = numbers
    generator = torch.Generator().manual_seed(derive_seed(seed, "shift", protocol))
    successor, size = grid.successors(step), len(grid) - grid.first
    draws = grid.first + _choose(n_images, size, draws_per_image, generator)
    eligible = (successor >= 0).nonzero().squeeze(1)
    steps = min(most_steps, draws_per_image, len(eligible))
    starts, extra, first_start = draws[:, :steps], draws[:, :0], 1
    if len(eligible) < size:  # some offsets have no neighbour: draw the starts separately
        starts = extra = eligible[_choose(n_images, len(eligible), steps, generator)]
        first_start = 1 + draws_per_image
    base = torch.zeros(n_images, 1, dtype=torch.long)
    index = torch.cat([base, draws, extra, successor[starts]], dim=1)
    previous = torch.full((index.shape[1],), -1)
    previous[index.shape[1] - steps :] = torch.arange(first_start, first_start + steps)
    sampled = torch.zeros(index.shape[1], dtype=torch.bool)
    sampled[1 : 1 + draws_per_image] = True
    return Plan(grid.pixels(index), sampled, previous, exhaustive=False)


def box(rows: Sequence[int], columns: Sequence[int], per_pixel: int = 1) -> Grid:
    """Return the grid ``rows`` × ``columns`` in steps of 1/``per_pixel`` px, (0, 0) first."""
    has_base = 0 in rows and 0 in columns
    axes = [torch.tensor(sorted(axis, key=nearest)) for axis in (rows, columns)]
    offsets = torch.cartesian_prod(*axes)
    if not has_base:
        offsets = torch.cat([torch.zeros(1, 2, dtype=torch.long), offsets])
    return Grid(offsets, None, per_pixel, has_base)


def square(max_shift: int) -> Grid:
    """Return the offsets −max_shift..+max_shift on both axes, inclusive."""
    return span((-max_shift, max_shift))


def span(ends: Sequence[int]) -> Grid:
    """Return the offsets ``ends[0]``..``ends[1]`` on both axes, inclusive."""
    axis = range(ends[0], ends[1] + 1)
    return box(axis, axis)


def torus(image_size: tuple[int, int]) -> Grid:
    """Return every circular shift of an image of ``image_size``, −side/2..side/2 − 1 per axis."""
    rows, columns = (
        (torch.arange(side) + side // 2) % side - side // 2  # 0, 1, ..., −2, −1
        for side in image_size
    )
    return Grid(torch.cartesian_prod(rows, columns), image_size)


def exhaustive(grid: Grid, step: tuple[int, ...]) -> Plan:
    """Return the plan of every offset of a grid, with pairs of offsets one ``step`` apart."""
    successor = grid.successors(step)
    previous = torch.full((len(grid),), -1)
    has_next = successor >= 0
    previous[successor[has_next]] = torch.arange(len(grid))[has_next]
    sampled = torch.ones(len(grid), dtype=torch.bool)
    sampled[: grid.first] = False
    return Plan(grid.pixels(torch.arange(len(grid))), sampled, previous, exhaustive=True)


def nearest(offset: int) -> tuple[int, int]:
    """Return a key that sorts offsets by their distance from 0, the negative one first."""
    return abs(offset), offset


def _choose(rows: int, among: int, count: int, generator: torch.Generator) -> Tensor:
    """Return ``(rows, count)`` random indices below ``among``, distinct within each row."""
    chosen = [
        torch.rand(size, among, generator=generator).topk(count, dim=1).indices
        for size in _chunks(rows, max(1, 4_000_000 // among))
    ]
    return torch.cat(chosen)


def _chunks(total: int, size: int) -> Iterator[int]:
    while total > 0:
        yield min(size, total)
        total -= size
