"""The random draws of published evaluations, with which their numbers can be reproduced exactly.

All of them draw every offset once per batch, for all its images, and with replacement: the views of
a pair may coincide. By default, a preset computes the exact expectation instead.
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
    """How the evaluation loop of a publication draws the views that it compares.

    Attributes:
        batch: Number of images that share a draw; the last batch may be smaller.
        passes: Number of passes over the images.
        views: Number of views per image that have to agree.
        generator: ``numpy`` (the legacy ``np.random``) or ``torch``, on the CPU.
        unused: Number of further draws per batch, which the loop uses for another measurement.
        window: Whether it draws the position of a window; the content then moves in the opposite
            direction.
        average: ``images``, or ``batches``: the mean of batch means, in which a smaller last batch
            has the same weight as the others.
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
        """Metadata for metrics: the columns of every comparison, and how to average."""
        starts = range(1, 1 + self.passes * self.views, self.views)
        groups = [list(range(start, start + self.views)) for start in starts]
        return {"groups": groups, "average": self.average}

    def replay(
        self, n_images: int, batch: int, sizes: Sequence[int], seed: int
    ) -> NDArray[np.int64]:
        """Return draws in 0..sizes − 1, in the loop's order: ``(n_images, passes·views, 2)``."""
        batch = min(batch, n_images)  # same draws, no more rows than images
        draw = _GENERATORS[self.generator](seed)
        batches = -(-n_images // batch)
        per_batch = self.views + self.unused
        drawn = np.array([draw(sizes) for _ in range(self.passes * batches * per_batch)])
        table = drawn.reshape(self.passes, batches, per_batch, 2)[:, :, : self.views]
        columns = table.transpose(1, 0, 2, 3).reshape(batches, -1, 2)
        return columns.repeat(batch, axis=0)[:n_images]


def _numpy(seed: int) -> Draw:
    # Not np.random.Generator: the publications draw from the legacy stream.
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
    # Zhang 2019, validate_shift: options -es -b 8, five passes, numpy is not seeded.
    "zhang2019": Peer(batch=8, passes=5, window=True),
    # Zou et al. 2020: the same loop with its default batch size, after np.random.seed(7).
    "zou2020": Peer(batch=256, passes=5, window=True),
    # Chaman & Dokmanić 2021, evaluate_circular, after np.random.seed(0).
    "chaman2021": Peer(batch=256, average="batches"),
    # Rojas-Gomez et al. 2022, CIFAR-10: torch draws, two more per batch for a circular metric.
    "rojas2022": Peer(batch=256, generator="torch", unused=2, window=True),
}
"""The publications whose draws ``sampling=peer`` can reproduce."""
