"""The draws of published evaluations, to check their numbers one for one.

Every one of them draws per batch, one offset for all its images, and with replacement: the views
of a pair may coincide. The default of a preset is the exact expectation instead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

Draw = Callable[[Sequence[int]], NDArray[np.int64]]


@dataclass(frozen=True)
class Peer:
    """How a publication's loop draws the views that it compares.

    Attributes:
        batch: Images that share a draw; the last batch may be smaller.
        passes: Times the loop goes through the images.
        views: Views per image that have to agree.
        generator: ``numpy`` (the legacy ``np.random``) or ``torch``, on the CPU.
        unused: Draws per batch that the loop makes after these, for another measurement.
        window: Whether it draws where a window lies; the content then moves the other way.
        average: ``images``, or ``batches``: the mean of batch means, where a small last batch
            counts as much as any other.
    """

    batch: int
    passes: int = 1
    views: int = 2
    generator: str = "numpy"
    unused: int = 0
    window: bool = False
    average: str = "images"

    @property
    def meta(self) -> dict[str, Any]:
        """What a metric has to know: the columns of every comparison, and how to average."""
        starts = range(1, 1 + self.passes * self.views, self.views)
        groups = [list(range(start, start + self.views)) for start in starts]
        return {"groups": groups, "average": self.average}

    def replay(
        self, n_images: int, batch: int, sizes: Sequence[int], seed: int
    ) -> NDArray[np.int64]:
        """Return ``(n_images, passes·views, 2)``: draws in 0..sizes − 1, in the loop's order."""
        batch = min(batch, n_images)  # the same draws, and no more rows than images
        draw = _GENERATORS[self.generator](seed)
        batches = -(-n_images // batch)
        per_batch = self.views + self.unused
        drawn = np.array([draw(sizes) for _ in range(self.passes * batches * per_batch)])
        table = drawn.reshape(self.passes, batches, per_batch, 2)[:, :, : self.views]
        columns = table.transpose(1, 0, 2, 3).reshape(batches, -1, 2)
        return columns.repeat(batch, axis=0)[:n_images]


def _numpy(seed: int) -> Draw:
    # Not a Generator: the publications draw from the legacy stream.
    stream = np.random.RandomState(seed)

    def draw(sizes: Sequence[int]) -> NDArray[np.int64]:
        if sizes[0] == sizes[1]:
            return stream.randint(sizes[0], size=2)
        return np.array([stream.randint(size) for size in sizes])

    return draw


def _torch(seed: int) -> Draw:
    stream = torch.Generator().manual_seed(seed)

    def draw(sizes: Sequence[int]) -> NDArray[np.int64]:
        if sizes[0] == sizes[1]:
            return torch.randint(sizes[0], (2,), generator=stream).numpy()
        return np.array([int(torch.randint(size, (), generator=stream)) for size in sizes])

    return draw


_GENERATORS: dict[str, Callable[[int], Draw]] = {"numpy": _numpy, "torch": _torch}

PEERS: dict[str, Peer] = {
    # Zhang 2019, validate_shift: its -es -b 8, five passes, numpy not seeded.
    "zhang2019": Peer(batch=8, passes=5, window=True),
    # Zou et al. 2020: the same loop at its default batch size, after np.random.seed(7).
    "zou2020": Peer(batch=256, passes=5, window=True),
    # Chaman & Dokmanić 2021, evaluate_circular, after np.random.seed(0).
    "chaman2021": Peer(batch=256, average="batches"),
    # Rojas-Gomez et al. 2022, CIFAR-10: torch draws, two more per batch for its circular measure.
    "rojas2022": Peer(batch=256, generator="torch", unused=2, window=True),
}
"""The publications whose draws ``sampling=peer`` can replay."""
