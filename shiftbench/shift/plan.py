"""Which shifts an image is shown: all of them, or draws per image from a named seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from shiftbench.errors import UsageError, require_one_of
from shiftbench.seeds import derive_seed

SAMPLING = ("auto", "all", "draws")
PATHS = {"diagonal": (1, 1), "horizontal": (0, 1), "vertical": (1, 0)}
MOST_EXHAUSTIVE = 128


@dataclass(frozen=True)
class Plan:
    """The columns of a prediction table; column 0 is the base view.

    Attributes:
        shifts: ``(K, A)``, or ``(N, K, A)`` where every image has its own.
        sampled: ``(K,)`` bool, the columns that make up the set of shifts.
        previous: ``(K,)``, the column one step earlier on the path, −1 for none.
        exhaustive: Whether the set is every shift of the protocol.
    """

    shifts: Tensor
    sampled: Tensor
    previous: Tensor
    exhaustive: bool

    def __len__(self) -> int:
        return len(self.sampled)

    def rows(self, start: int, stop: int) -> Tensor:
        """Return the shifts ``(stop - start, K, A)`` of images ``start`` to ``stop``."""
        if self.shifts.ndim == 2:
            return self.shifts.expand(stop - start, -1, -1)
        return self.shifts[start:stop]


@dataclass(frozen=True)
class Sampling:
    """How a protocol picks from its grid of offsets.

    Args:
        sampling: ``all`` shows every offset, ``draws`` shows ``draws`` of them per image, ``auto``
            shows all up to 128.
        draws: Offsets per image, drawn without replacement.
        steps: One-pixel steps per image for ``top1_change`` where offsets are drawn.
        seed: Seed of the draws, by name apart from every other random stream.
        path: Direction of a one-pixel step: diagonal, horizontal, vertical.
    """

    sampling: str
    draws: int
    steps: int
    seed: int
    path: str

    def __post_init__(self) -> None:
        require_one_of("shift sampling", self.sampling, SAMPLING)
        require_one_of("shift path", self.path, PATHS)
        if self.draws < 2:
            raise UsageError(f"shift draws={self.draws} is too few; a pair of views needs 2")
        if self.steps < 0:
            raise UsageError(f"shift steps={self.steps} is negative; allowed: 0 or more")

    def plan(self, n_images: int, grid: Grid, protocol: str) -> Plan:
        """Return the plan for ``n_images`` on ``grid``."""
        exhaustive = self.sampling == "all" or self.draws >= len(grid)
        if exhaustive or (self.sampling == "auto" and len(grid) <= MOST_EXHAUSTIVE):
            return _exhaustive(grid, PATHS[self.path])
        return self._drawn(n_images, grid, protocol)

    def _drawn(self, n_images: int, grid: Grid, protocol: str) -> Plan:
        """Columns: base, draws, starts of steps where the draws cannot serve, ends of steps."""
        generator = torch.Generator().manual_seed(derive_seed(self.seed, "shift", protocol))
        successor = grid.successors(PATHS[self.path])
        draws = _choose(n_images, len(grid), self.draws, generator)
        eligible = (successor >= 0).nonzero().squeeze(1)
        steps = min(self.steps, self.draws, len(eligible))
        starts, extra, first_start = draws[:, :steps], draws[:, :0], 1
        if len(eligible) < len(grid):  # some offsets have no neighbour: draw the starts apart
            starts = extra = eligible[_choose(n_images, len(eligible), steps, generator)]
            first_start = 1 + self.draws
        base = torch.zeros(n_images, 1, dtype=torch.long)
        index = torch.cat([base, draws, extra, successor[starts]], dim=1)
        previous = torch.full((index.shape[1],), -1)
        previous[index.shape[1] - steps :] = torch.arange(first_start, first_start + steps)
        sampled = torch.zeros(index.shape[1], dtype=torch.bool)
        sampled[1 : 1 + self.draws] = True
        return Plan(grid.offsets[index], sampled, previous, exhaustive=False)


@dataclass(frozen=True)
class Grid:
    """Every offset of a protocol; the first one is no shift.

    Attributes:
        offsets: ``(K, 2)`` whole (dy, dx), ``offsets[0] == (0, 0)``.
        period: ``(H, W)`` where the offsets wrap around, None where they end.
    """

    offsets: Tensor
    period: tuple[int, int] | None = None

    def __len__(self) -> int:
        return len(self.offsets)

    def successors(self, step: tuple[int, int]) -> Tensor:
        """Return ``(K,)``: the index of ``offset + step``, −1 where it is outside the grid."""
        index = {self._key(dy, dx): i for i, (dy, dx) in enumerate(self.offsets.tolist())}
        moved = (self.offsets + torch.tensor(step)).tolist()
        return torch.tensor([index.get(self._key(dy, dx), -1) for dy, dx in moved])

    def _key(self, dy: int, dx: int) -> tuple[int, int]:
        if self.period is None:
            return dy, dx
        return dy % self.period[0], dx % self.period[1]


def square(max_shift: int) -> Grid:
    """Return the offsets −max_shift..+max_shift on both axes, ends included."""
    axis = sorted(range(-max_shift, max_shift + 1), key=lambda offset: (abs(offset), offset))
    return Grid(torch.cartesian_prod(torch.tensor(axis), torch.tensor(axis)))


def torus(image_size: tuple[int, int]) -> Grid:
    """Return every circular shift of an image of ``image_size``, −side/2..side/2 − 1 per axis."""
    rows, columns = (
        (torch.arange(side) + side // 2) % side - side // 2  # 0, 1, ..., −2, −1
        for side in image_size
    )
    return Grid(torch.cartesian_prod(rows, columns), image_size)


def _exhaustive(grid: Grid, step: tuple[int, int]) -> Plan:
    successor = grid.successors(step)
    previous = torch.full((len(grid),), -1)
    has_next = successor >= 0
    previous[successor[has_next]] = torch.arange(len(grid))[has_next]
    sampled = torch.ones(len(grid), dtype=torch.bool)
    return Plan(grid.offsets, sampled, previous, exhaustive=True)


def _choose(rows: int, among: int, count: int, generator: torch.Generator) -> Tensor:
    """Return ``(rows, count)`` different indices below ``among`` for every row."""
    chosen = [
        torch.rand(size, among, generator=generator).topk(count, dim=1).indices
        for size in _chunks(rows, max(1, 4_000_000 // among))
    ]
    return torch.cat(chosen)


def _chunks(total: int, size: int) -> Iterator[int]:
    while total > 0:
        yield min(size, total)
        total -= size
